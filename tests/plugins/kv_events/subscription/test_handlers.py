"""Handlers: each isolated, told in order, and told what it missed."""

from __future__ import annotations

import threading

import msgpack
import pytest

import kato_transport as kt
from kato_transport.events import AllBlocksCleared, BlockStored, EventsLost
from kato_transport.testing.waiting import GRACE_S, at_most, until
from kato_transport_kv_events.stream import Flaw, State
from kato_transport_kv_events.subscription import KVEventManager, Limits, Source
from kato_transport_kv_events.testing import cleared, stored

from .conftest import QUICK
from .recorder import Recorder


class Slow:
    """Keeps what it was given; waits at its gate first."""

    def __init__(self):
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.events = []

    def handle_event(self, event):
        self.entered.set()
        assert self.gate.wait(30)
        self.events.append(event)


class Failing:
    """Keeps what it was given, and fails."""

    def __init__(self):
        self.events = []

    def handle_event(self, event):
        self.events.append(event)
        raise RuntimeError("this handler always fails")


@pytest.fixture
def managed(closing):
    """A manager of handlers: `managed(*handlers, **limits)`; gates are opened at the end."""

    def made(*handlers, **limits):
        manager = closing.enter_context(KVEventManager(handlers, settings=QUICK, limits=Limits(**limits)))
        for handler in handlers:
            if isinstance(handler, Slow):
                closing.callback(handler.gate.set)
        return manager

    return made


def source(publisher, pod="a"):
    return Source(pod=pod, endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint)


def test_a_handler_that_raises_stops_nobody(engine, managed):
    """Itself included; each time is counted."""
    publisher, failing, recorder = engine(), Failing(), Recorder()
    manager = managed(failing, recorder)
    manager.add_source(source(publisher))
    for block in (1, 2, 3):
        publisher.publish(stored(block))
    recorder.comes_to(manager, State.EXACT, 1, 2, 3)
    until(lambda: len(failing.events) == 3, "a handler that raises was told no more")
    until(lambda: manager.handler_stats()[0].failures == 3, "failures were not counted")
    assert manager.stats()[0].errors["handle_event"] == 3


def test_an_inline_handler_that_raises_costs_no_event(engine, managed):
    """Nor the state of its source."""
    seen = []

    @kt.inline
    def fail(event):
        seen.append(event)
        raise RuntimeError("this handler always fails")

    publisher = engine()
    manager = managed(fail)
    manager.add_source(source(publisher))
    publisher.publish(stored(1), stored(2))
    until(lambda: len(seen) == 2 and manager.state("a") is State.EXACT, "not all events came")
    assert manager.handler_stats()[0].failures == 2


def test_a_slow_handler_holds_up_nobody(engine, managed):
    """The others are told at once, and it is told everything in the end."""
    publisher, slow, recorder = engine(), Slow(), Recorder()
    manager = managed(slow, recorder)
    manager.add_source(source(publisher))
    for block in range(50):
        publisher.publish(stored(block))
    recorder.comes_to(manager, State.EXACT, *range(50))
    assert slow.events == []
    slow.gate.set()
    until(lambda: len(slow.events) == 50, "not all events came")
    assert [event.block_hashes[0] for event in slow.events] == list(range(50))


def test_what_finds_no_room_is_told_as_lost(engine, managed):
    """In its place, once there is room again; and it is counted."""
    publisher, slow, recorder = engine(), Slow(), Recorder()
    manager = managed(slow, recorder, handler_queue=10)
    manager.add_source(source(publisher))
    publisher.publish(stored(0))
    assert slow.entered.wait(10)
    for block in range(1, 30):
        publisher.publish(stored(block))
    recorder.comes_to(manager, State.EXACT, *range(30))
    stats = manager.handler_stats()[0]
    assert (stats.inline, stats.queued, stats.dropped) == (False, 10, 19)
    slow.gate.set()
    until(lambda: any(isinstance(event, EventsLost) for event in slow.events), "what was lost was not told")
    publisher.publish(stored(99))
    until(lambda: slow.events[-1].origin.sequence == 30, "the stream did not go on")
    assert [getattr(event, "block_hashes", ("lost",))[0] for event in slow.events] == [*range(11), "lost", 99]
    lost = slow.events[11]
    assert (lost.first, lost.last, lost.origin.pod) == (11, 29, "a")


def test_a_restart_that_finds_no_room_is_told_before_what_is_lost_after_it(engine, managed):
    """What was lost before it is of no account any more."""
    publisher, slow, recorder = engine(), Slow(), Recorder()
    manager = managed(slow, recorder, handler_queue=3)
    manager.add_source(source(publisher))
    publisher.publish(stored(0))
    assert slow.entered.wait(10)
    for block in range(1, 10):
        publisher.publish(stored(block))
    recorder.comes_to(manager, State.EXACT, *range(10))
    publisher.restart()
    for block in (20, 21):
        publisher.publish(stored(block))
    recorder.comes_to(manager, State.EXACT, 20, 21)
    slow.gate.set()
    until(lambda: any(isinstance(event, EventsLost) for event in slow.events), "what was lost was not told")
    cleared, lost = slow.events[-2:]
    assert isinstance(cleared, AllBlocksCleared)
    assert (lost.first, lost.last) == (0, 1)


def test_a_plain_handler_is_told_of_a_restart_as_a_clear(engine, managed):
    """So that whoever knows the four kinds of events is never wrong."""
    publisher = engine()
    events = []
    manager = managed(events.append)
    manager.add_source(source(publisher))
    publisher.publish(stored(1))
    until(lambda: len(events) == 1, "not all events came")
    publisher.restart()
    publisher.publish(stored(2))
    until(lambda: len(events) == 3, "not all events came")
    assert [type(event) for event in events] == [BlockStored, AllBlocksCleared, BlockStored]


def test_a_handler_that_knows_sources_is_told_of_them(engine, managed):
    """Of each state, of what is forgotten, and of the end."""
    publisher, recorder = engine(), Recorder()
    manager = managed(recorder)
    manager.add_source(source(publisher))
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    publisher.restart()
    publisher.publish(stored(2))
    recorder.comes_to(manager, State.EXACT, 2)
    manager.remove_source("a")
    assert recorder.states[:3] == [State.CONNECTING, State.SYNCING, State.EXACT]
    assert recorder.forgotten == 1
    assert recorder.removed == [("a", 0)]
    assert not any(isinstance(event, AllBlocksCleared) for event in recorder.events)


def test_a_handler_says_what_it_lost(engine, managed):
    """From any thread; a clear makes up for it, as for anything that is missing."""
    publisher, recorder = engine(), Recorder()
    manager = managed(recorder)
    manager.add_source(source(publisher))
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    manager.flawed("a", 0, Flaw.EVICTED)
    assert manager.state("a") is State.PARTIAL
    assert recorder.states[-1] is State.PARTIAL
    manager.flawed("nobody", 0, Flaw.EVICTED)


@pytest.mark.parametrize(
    ("events", "state"),
    [((stored(1), cleared()), State.EXACT), ((cleared(), stored(1)), State.PARTIAL)],
    ids=["before a clear", "after a clear"],
)
def test_what_a_handler_loses_counts_where_it_lost_it(engine, managed, events, state):
    """A clear makes up for what came before it in its batch, and for nothing that comes after."""
    publisher = engine()

    @kt.inline
    def lose(event):
        if isinstance(event, BlockStored):
            manager.flawed("a", 0, Flaw.STORED)

    manager = managed(lose)
    manager.add_source(source(publisher))
    publisher.publish(*events)
    until(lambda: manager.stats()[0].last_sequence == 0 and manager.state("a") is state, f"it was not {state}")


def test_a_malformed_event_costs_trust_and_not_its_batch(engine, managed):
    """The rest of the batch is told; what is of an unknown kind costs nothing."""
    publisher, recorder = engine(), Recorder()
    manager = managed(recorder)
    manager.add_source(source(publisher))
    recorder.comes_to(manager, State.EXACT)
    publisher.publish_payload(msgpack.packb([1.0, [{"type": "BlockMoved"}, {"type": "BlockStored", "block_hashes": [1]}], 0]))
    recorder.comes_to(manager, State.EXACT, 1)
    publisher.publish_payload(msgpack.packb([1.0, [{"type": "BlockStored"}, {"type": "BlockStored", "block_hashes": [2]}], 0]))
    recorder.comes_to(manager, State.PARTIAL, 1, 2)
    publisher.publish_payload(msgpack.packb([1.0, [{"type": "AllBlocksCleared"}, {"type": "BlockRemoved"}], 0]))
    recorder.comes_to(manager, State.DEGRADED)
    publisher.publish_payload(msgpack.packb([1.0, [{"type": "BlockRemoved"}, {"type": "AllBlocksCleared"}], 0]))
    recorder.comes_to(manager, State.EXACT)
    (stats,) = manager.stats()
    assert stats.events_skipped == {"unknown_tag": 1, "malformed": 3}
    assert stats.events_received == {"BlockStored": 3, "BlockRemoved": 2, "AllBlocksCleared": 2}
    assert stats.events_processed == {"BlockStored": 2, "BlockRemoved": 0, "AllBlocksCleared": 2}


def test_a_handler_may_call_its_manager(engine, managed):
    """Also one that is called inline, and even to end its own source: then it is told nothing more."""
    publisher = engine()
    told = []

    @kt.inline
    def end(event):
        told.append((event.block_hashes[0], manager.state("a")))
        manager.remove_source("a")

    for block in range(300):
        publisher.publish(stored(block))
    manager = managed(end)
    manager.add_source(source(publisher))
    until(lambda: manager.stats() == [], "the source was not removed")
    assert told == [(0, State.SYNCING)]


def test_a_handler_that_hangs_does_not_keep_close_from_ending(engine, managed):
    """It is given a moment, and then left to itself."""
    publisher, slow = engine(), Slow()
    manager = managed(slow)
    manager.add_source(source(publisher))
    publisher.publish(stored(1), stored(2))
    assert slow.entered.wait(10)
    with at_most(1.0 + GRACE_S, "closing with a handler that hangs"):
        manager.close()
    slow.gate.set()


def test_closing_lets_handlers_have_what_waits_for_them(engine, managed):
    """If they take it in time."""
    publisher, slow, recorder = engine(), Slow(), Recorder()
    manager = managed(slow, recorder)
    manager.add_source(source(publisher))
    for block in range(20):
        publisher.publish(stored(block))
    recorder.comes_to(manager, State.EXACT, *range(20))
    slow.gate.set()
    manager.close()
    assert len(slow.events) == 20
