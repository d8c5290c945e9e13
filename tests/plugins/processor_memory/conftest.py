"""Processors that are closed when their test ends, and a short way to show them events."""

from __future__ import annotations

import pytest

from kato_transport import ProcessorSettings
from kato_transport_processor_memory import SequenceMemory


@pytest.fixture
def make():
    """Makes a processor: `make(data=path, processor_id="p", era="A", …)`; all but the first two are genes."""
    made = []

    def make(data=None, processor_id="", **genome):
        settings = ProcessorSettings(data=data, processor_id=processor_id, genome=genome)
        made.append(SequenceMemory().create(settings))
        return made[-1]

    yield make
    for processor in made:
        processor.close()


@pytest.fixture
def show():
    """Shows events: `show(processor, "a b", "c", emotives={…})`; gives the last answer."""

    def show(processor, *events, unique_id="some", **fields):
        answer = None
        for event in events:
            observation = {"strings": event.split(), "vectors": [], "emotives": {}, "unique_id": unique_id}
            answer = processor.observe({**observation, **fields})
        return answer

    return show


@pytest.fixture
def teach(show):
    """Shows events and learns them: `teach(processor, "a b", "c")`; gives the model's name."""

    def teach(processor, *events, **fields):
        show(processor, *events, **fields)
        return processor.learn()

    return teach
