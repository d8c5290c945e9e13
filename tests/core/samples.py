"""What `make_processor` is asked for by name in the tests."""

from __future__ import annotations

from typing import Any

import kato_transport as kt


class Sample:
    """A processor that remembers what it was made from."""

    name = "Sample"
    time = 0

    def __init__(self, settings: kt.ProcessorSettings | None = None) -> None:
        self.settings = settings
        self.id = settings.processor_id if settings else "none"

    def observe(self, observation: dict[str, Any]) -> dict[str, Any]:
        return {}

    def learn(self) -> str:
        return ""

    def get_predictions(self, unique_id: Any) -> list[Any]:
        return []


class SampleFactory:
    """A plugin's factory."""

    name = "sample"

    def create(self, settings: kt.ProcessorSettings) -> Sample:
        return Sample(settings)


def with_settings(settings: kt.ProcessorSettings) -> Sample:
    return Sample(settings)


def without_argument() -> Sample:
    return Sample()


def with_keywords(*, colour: str = "red") -> Sample:
    return Sample()


def failing() -> Sample:
    raise RuntimeError("no disk")


def refusing(settings: kt.ProcessorSettings) -> Sample:
    raise kt.InvalidSetting("the genome has no id")


class Nested:
    """Something to look into."""

    make = staticmethod(with_settings)


ready = Sample()
number = 5
