"""Event streams: in order, to every handler, until closed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import kato_transport as kt
from kato_transport.contracts import Subscription
from kato_transport.events import BlockStored, KVEvent, Origin
from kato_transport.model import Capability
from kato_transport.testing.base import Conformance, requires
from kato_transport.testing.waiting import GRACE_S, LONG_S, at_most, comes_true, until

PROBE = 0
PROBE_S = 0.05
"""Between the events that find out whether a subscription hears anything yet."""


class Recorder:
    """A handler that keeps what it was given; the probes only show that it hears."""

    def __init__(self) -> None:
        self.hears = False
        self.events: list[BlockStored] = []

    def handle_event(self, event: KVEvent) -> None:
        self.hears = True
        if isinstance(event, BlockStored) and event.block_hashes != (PROBE,):
            self.events.append(event)

    @property
    def numbers(self) -> list[int | bytes]:
        return [event.block_hashes[0] for event in self.events]


class RaisingRecorder(Recorder):
    """Keeps what it was given, and then fails."""

    def handle_event(self, event: KVEvent) -> None:
        super().handle_event(event)
        raise RuntimeError("this handler always fails")


class Stream:
    """An endpoint to publish to, and subscriptions that end with the test."""

    def __init__(self, transport: str, endpoint: str, publish: Callable[[str, KVEvent], None]) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._publish = publish
        self._sequence = itertools.count()
        self._made = ExitStack()

    def publish(self, *numbers: int) -> None:
        """An event for each number."""
        for number in numbers:
            origin = Origin(pod="kit", sequence=next(self._sequence), timestamp_s=time.time())
            event = BlockStored(origin=origin, block_hashes=(number,), token_ids=(number, 2, 3), block_size=3)
            self._publish(self._endpoint, event)

    def subscribe(self, recorder: Recorder) -> Subscription:
        """A subscription that hears already: what is published from now on is for it."""
        subscription = kt.subscribe(self._endpoint, recorder, transport=self._transport)
        self._made.callback(subscription.close)
        for _ in range(int(LONG_S / PROBE_S)):
            self.publish(PROBE)
            if comes_true(lambda: recorder.hears, PROBE_S):
                return subscription
        pytest.fail(f"a new subscription heard nothing within {LONG_S:g} s")

    def close(self) -> None:
        self._made.close()


class Streams(Conformance):
    """A subscription delivers what is published while it is open."""

    @pytest.fixture
    def stream(self, _bounded: None, tmp_path: Path) -> Iterator[Stream]:
        """A stream of the transport under test."""
        stream = Stream(self.name, self.endpoint(tmp_path), self.publish)
        yield stream
        stream.close()

    @requires(Capability.SUBSCRIBE)
    def test_events_come_once_and_in_order(self, stream: Stream) -> None:
        """As they were published, none missing and none twice."""
        recorder = Recorder()
        stream.subscribe(recorder)
        numbers = list(range(1, 101))
        stream.publish(*numbers)
        until(lambda: len(recorder.events) >= len(numbers), "not all events came")
        assert recorder.numbers == numbers

    @requires(Capability.SUBSCRIBE)
    def test_an_event_arrives_whole(self, stream: Stream) -> None:
        """With its hashes, tokens and sizes, and a number of its own."""
        recorder = Recorder()
        stream.subscribe(recorder)
        stream.publish(7, 8)
        until(lambda: len(recorder.events) >= 2, "not all events came")
        first, second = recorder.events
        assert (first.block_hashes, tuple(first.token_ids), first.block_size) == ((7,), (7, 2, 3), 3)
        assert second.origin.sequence > first.origin.sequence

    @requires(Capability.SUBSCRIBE)
    def test_each_subscription_gets_every_event(self, stream: Stream) -> None:
        """Several subscriptions of one endpoint do not share, each has all."""
        recorders = [Recorder() for _ in range(3)]
        for recorder in recorders:
            stream.subscribe(recorder)
        stream.publish(1, 2, 3)
        until(lambda: all(len(recorder.events) >= 3 for recorder in recorders), "not all events came")
        assert [recorder.numbers for recorder in recorders] == [[1, 2, 3]] * 3

    @requires(Capability.SUBSCRIBE)
    def test_a_handler_that_raises_stops_nothing(self, stream: Stream) -> None:
        """Neither its own stream nor another's."""
        raising, other = RaisingRecorder(), Recorder()
        stream.subscribe(raising)
        stream.subscribe(other)
        stream.publish(1, 2, 3)
        until(lambda: len(raising.events) >= 3 and len(other.events) >= 3, "a handler that raises stopped the stream")
        assert raising.numbers == other.numbers == [1, 2, 3]

    @requires(Capability.SUBSCRIBE)
    def test_a_closed_subscription_hears_nothing_more(self, stream: Stream) -> None:
        """From the moment `close` returned, which it does promptly; closing again does nothing."""
        closed, open_ = Recorder(), Recorder()
        subscription = stream.subscribe(closed)
        stream.subscribe(open_)
        with at_most(GRACE_S, "closing a subscription"):
            subscription.close()
            subscription.close()
        stream.publish(1, 2)
        until(lambda: len(open_.events) >= 2, "not all events came")
        assert closed.numbers == []
