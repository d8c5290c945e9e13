"""Event streams within a process, and handlers that are kept from each other."""

from __future__ import annotations

from typing import Any

import pytest

import kato_transport as kt
from kato_transport import memory
from kato_transport.api import Fanout
from kato_transport.events import AllBlocksCleared, KVEvent, Origin

ENDPOINT = "memory://stream"


def event(sequence: int = 0) -> KVEvent:
    return AllBlocksCleared(origin=Origin(pod="a", sequence=sequence, timestamp_s=1.8e9))


class Handler:
    """Keeps what it is given, and breaks where it is told to."""

    def __init__(self, breaks: bool = False) -> None:
        self.seen: list[KVEvent] = []
        self.breaks = breaks

    def handle_event(self, event: KVEvent) -> None:
        self.seen.append(event)
        if self.breaks:
            raise RuntimeError("burst")


def test_every_subscription_of_an_endpoint_gets_every_event_in_order() -> None:
    """And those of other endpoints get none."""
    handlers = [Handler(), Handler(), Handler()]
    endpoints = [ENDPOINT, ENDPOINT, "memory://elsewhere"]
    running = [
        kt.subscribe(endpoint, handler, transport="memory") for endpoint, handler in zip(endpoints, handlers, strict=True)
    ]
    events = [event(sequence) for sequence in range(10)]
    for each in events:
        memory.publish(ENDPOINT, each)
    for subscription in running:
        subscription.close()
    assert [handler.seen for handler in handlers] == [events, events, []]


def test_a_plain_function_is_a_handler() -> None:
    """Called with each event."""
    seen: list[KVEvent] = []
    subscription = kt.subscribe(ENDPOINT, seen.append, transport="memory")
    memory.publish(ENDPOINT, event())
    subscription.close()
    assert seen == [event()]


def test_after_the_close_nothing_is_delivered() -> None:
    """And closing again does nothing."""
    handler = Handler()
    subscription = kt.subscribe(ENDPOINT, handler, transport="memory")
    subscription.close()
    subscription.close()
    memory.publish(ENDPOINT, event())
    assert handler.seen == []


def test_a_handler_may_close_its_own_subscription() -> None:
    """While it is being called."""
    seen: list[KVEvent] = []

    def once(found: KVEvent) -> None:
        seen.append(found)
        subscription.close()

    subscription = kt.subscribe(ENDPOINT, once, transport="memory")
    memory.publish(ENDPOINT, event(1))
    memory.publish(ENDPOINT, event(2))
    assert seen == [event(1)]


def test_a_handler_that_breaks_stops_neither_the_stream_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """It is counted and logged, each time."""
    before, broken, behind = Handler(), Handler(breaks=True), Handler()
    fanout = Fanout([before, broken, behind])
    for sequence in range(3):
        fanout.handle_event(event(sequence))
    assert [len(handler.seen) for handler in (before, broken, behind)] == [3, 3, 3]
    assert fanout.failures == 3
    assert caplog.text.count("event handler") == 3


def test_a_subscribers_failure_does_not_reach_the_publisher() -> None:
    """Nor the next subscriber."""
    broken, sound = Handler(breaks=True), Handler()
    running = [kt.subscribe(ENDPOINT, handler, transport="memory") for handler in (broken, sound)]
    memory.publish(ENDPOINT, event())
    for subscription in running:
        subscription.close()
    assert sound.seen == [event()]


class Extension:
    """Registers a handler for every subscription of the process."""

    def __init__(self) -> None:
        self.handler = Handler()

    @kt.hookimpl
    def kato_register_event_handlers(self, settings: Any) -> list[Handler]:
        return [self.handler]


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> Extension:
    """As if it were installed."""
    made = Extension()
    registry = kt.registry()
    monkeypatch.setattr(registry, "event_handlers", lambda settings: made.kato_register_event_handlers(settings))
    return made


def test_handlers_of_extensions_get_every_event_too(extension: Extension) -> None:
    """Beside the subscription's own."""
    own = Handler()
    subscription = kt.subscribe(ENDPOINT, own, transport="memory")
    memory.publish(ENDPOINT, event())
    subscription.close()
    assert own.seen == extension.handler.seen == [event()]


def test_options_that_do_not_exist_are_refused() -> None:
    """By name; and so is an endpoint of another scheme, or a transport that carries no events."""
    with pytest.raises(kt.InvalidSetting, match="replay_endpoint"):
        kt.subscribe(ENDPOINT, Handler(), transport="memory", replay_endpoint="x")
    with pytest.raises(kt.InvalidSetting, match="memory://NAME"):
        kt.subscribe("tcp://127.0.0.1:1", Handler(), transport="memory")
    with pytest.raises(kt.PluginBroken):
        kt.subscribe(ENDPOINT, Handler(), transport="basic")
