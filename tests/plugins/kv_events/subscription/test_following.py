"""Following an engine over real sockets: late starts, gaps, lost tails, short buffers, replay endpoints that fail."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport_kv_events.stream import Policy, State
from kato_transport_kv_events.testing import DIALECTS, Faults, cleared, removed, stored

DROP_AND_KEEP = pytest.mark.parametrize(
    ("policy", "state"), [(Policy.DROP, State.PARTIAL), (Policy.KEEP, State.DEGRADED)], ids=["drop", "keep"]
)
NOWHERE = "tcp://127.0.0.1:9"
"""Where nothing listens."""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_late_start_is_made_up_for(engine, follow, recorder, dialect):
    """Whatever the version that answers."""
    publisher = engine(dialect)
    publisher.publish(stored(1, 2))
    publisher.publish(removed(1))
    manager = follow(publisher)
    recorder.comes_to(manager, State.EXACT, 2)
    publisher.wait_for_subscribers()
    publisher.publish(stored(3))
    recorder.comes_to(manager, State.EXACT, 2, 3)
    assert recorder.lost == []


@pytest.mark.parametrize("scheme", ["ipc", "tcp6"])
def test_an_engine_may_be_anywhere(closing, engine, follow, recorder, tmp_path, scheme):
    """On a path, and at an IPv6 address."""
    if scheme == "ipc":
        publisher = engine(endpoint=f"ipc://{tmp_path}/live", replay_endpoint=f"ipc://{tmp_path}/replay")
    else:
        try:
            publisher = engine(endpoint="tcp://[::1]:0", replay_endpoint="tcp://[::1]:0")
        except kt.BindFailed:
            pytest.skip("this machine has no IPv6")
    publisher.publish(stored(1))
    manager = follow(publisher)
    recorder.comes_to(manager, State.EXACT, 1)
    publisher.wait_for_subscribers()
    publisher.publish(stored(2))
    recorder.comes_to(manager, State.EXACT, 1, 2)


def test_an_engine_that_comes_later_is_waited_for(engine, follow, recorder):
    """A source may be added before its engine is there."""
    publisher = engine()
    publisher.stop()
    manager = follow(publisher)
    assert manager.state("a") is State.CONNECTING
    publisher.start()
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)


def test_a_gap_is_replayed(engine, follow, recorder):
    """In order, and nothing twice."""
    publisher = engine()
    manager = follow(publisher)
    recorder.comes_to(manager, State.EXACT)
    publisher.publish(stored(1))
    publisher.skip(stored(2))
    publisher.skip(removed(1))
    publisher.publish(stored(3))
    recorder.comes_to(manager, State.EXACT, 2, 3)
    assert [event.origin.sequence for event in recorder.events] == [0, 1, 2, 3]
    assert (manager.stats()[0].gaps, manager.stats()[0].gap_batches) == (1, 2)


def test_a_lost_tail_is_found_by_a_probe(engine, follow, recorder):
    """Nothing comes after it that would show a gap."""
    publisher = engine()
    manager = follow(publisher)
    recorder.comes_to(manager, State.EXACT)
    publisher.publish(stored(1))
    publisher.skip(stored(2))
    recorder.comes_to(manager, State.EXACT, 1, 2)


@pytest.mark.parametrize("policy", Policy)
def test_a_short_buffer_makes_a_late_start_partial(engine, follow, recorder, policy):
    """With either policy: nothing is there that should not be."""
    publisher = engine(buffer_steps=2)
    for block in range(5):
        publisher.publish(stored(block))
    manager = follow(publisher, policy=policy)
    recorder.comes_to(manager, State.PARTIAL, 3, 4)
    assert recorder.lost == [(0, 2)]


@DROP_AND_KEEP
def test_a_gap_beyond_the_buffer_is_lost(engine, follow, recorder, policy, state):
    """And the stream goes on, until a clear makes it exact again."""
    publisher = engine(buffer_steps=2)
    publisher.publish(stored(1))
    manager = follow(publisher, policy=policy)
    recorder.comes_to(manager, State.EXACT, 1)
    for block in (2, 3, 4):
        publisher.skip(stored(block))
    publisher.publish(stored(5))
    recorder.comes_to(manager, state, *((4, 5) if policy is Policy.DROP else (1, 4, 5)))
    assert recorder.lost == [(1, 2)]
    publisher.publish(cleared(), stored(6))
    recorder.comes_to(manager, State.EXACT, 6)


@DROP_AND_KEEP
def test_without_a_replay_socket_a_gap_is_lost(engine, follow, recorder, policy, state):
    """At once."""
    publisher = engine(replay_endpoint=None)
    manager = follow(publisher, policy=policy)
    publisher.wait_for_subscribers()
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    publisher.skip(stored(2))
    publisher.publish(stored(3))
    recorder.comes_to(manager, state, *((3,) if policy is Policy.DROP else (1, 3)))
    assert recorder.lost == [(1, 1)]


def test_without_a_replay_socket_a_late_start_is_partial(engine, follow, recorder):
    """The first number shows it."""
    publisher = engine(replay_endpoint=None)
    publisher.publish(stored(1))
    manager = follow(publisher)
    publisher.wait_for_subscribers()
    publisher.publish(stored(2))
    recorder.comes_to(manager, State.PARTIAL, 2)


def test_a_dead_replay_endpoint_stops_nothing(engine, follow, recorder):
    """Live batches wait for it a while, and then go on; the source is never stale while it speaks."""
    publisher = engine()
    publisher.publish(stored(1))
    manager = follow(publisher, replay_endpoint=NOWHERE)
    publisher.wait_for_subscribers()
    publisher.publish(stored(2))
    recorder.comes_to(manager, State.PARTIAL, 2)
    publisher.publish(stored(3))
    recorder.comes_to(manager, State.PARTIAL, 2, 3)
    assert State.STALE not in recorder.states


def test_a_silent_replay_endpoint_that_answers_at_last_makes_the_source_whole(engine, follow, recorder):
    """It is asked now and then."""
    publisher = engine()
    publisher.faults = Faults(silent=True)
    publisher.publish(stored(1))
    manager = follow(publisher)
    publisher.wait_for_subscribers()
    publisher.publish(stored(2))
    recorder.comes_to(manager, State.PARTIAL, 2)
    publisher.faults = Faults()
    recorder.comes_to(manager, State.EXACT, 1, 2)


def test_answers_without_an_end_still_bring_what_is_in_them(engine, follow, recorder):
    """They are asked for again, and given up in the end; what came of them counts."""
    publisher = engine()
    publisher.faults = Faults(no_end=True)
    publisher.publish(stored(1), stored(2))
    manager = follow(publisher)
    publisher.wait_for_subscribers()
    publisher.publish(stored(3))
    recorder.comes_to(manager, State.EXACT, 1, 2, 3)
    assert manager.stats()[0].replay_failures >= 2


def test_a_hole_that_stays_in_the_answers_is_lost(engine, follow, recorder):
    """After a second answer with the same hole."""
    publisher = engine()
    publisher.faults = Faults(holes=frozenset({1}))
    for block in range(4):
        publisher.publish(stored(block))
    manager = follow(publisher)
    recorder.comes_to(manager, State.PARTIAL, 2, 3)
    assert recorder.lost == [(1, 1)]


def test_a_replay_of_thousands_of_batches_comes_whole(engine, follow, recorder):
    """No frame is lost to a high-water mark, and live batches wait for it."""
    publisher = engine("vllm-0.10.2")
    count = 5000
    for block in range(count):
        publisher.publish(stored(block))
    manager = follow(publisher)
    recorder.comes_to(manager, State.EXACT, *range(count))
    assert recorder.lost == []


def test_batches_that_cannot_be_read_cost_trust_and_nothing_else(engine, follow, recorder):
    """The connection stays, the next batch is read, and a clear makes up for it."""
    publisher = engine()
    manager = follow(publisher)
    recorder.comes_to(manager, State.EXACT)
    publisher.publish_payload(b"\xc1 garbage")
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.DEGRADED, 1)
    assert manager.stats()[0].errors["decode"] == 1
    publisher.publish(stored(2), cleared())
    recorder.comes_to(manager, State.EXACT)


def test_stats_tell_what_happened(engine, follow, recorder):
    """In numbers that only rise."""
    publisher = engine()
    manager = follow(publisher, model="llama", pod="pod-1")
    recorder.comes_to(manager, State.EXACT, pod="pod-1")
    publisher.wait_for_subscribers()
    publisher.publish(stored(1), removed(1), cleared())
    publisher.publish(stored(2))
    recorder.comes_to(manager, State.EXACT, 2, pod="pod-1")
    (stats,) = manager.stats()
    assert (stats.pod, stats.rank, stats.model, stats.endpoint) == ("pod-1", 0, "llama", publisher.endpoint)
    assert (stats.state, stats.is_connected, stats.connections, stats.last_sequence) == (State.EXACT, True, 1, 1)
    assert stats.events_received == stats.events_processed == {"BlockStored": 2, "BlockRemoved": 1, "AllBlocksCleared": 1}
    assert sum(stats.processing_buckets) == 2
    assert 0 < stats.processing_seconds < 10
    assert stats.replay_requests >= stats.replay_successes >= 1
    assert -60 < stats.lag_s < 60
    assert set(stats.errors.values()) == {0}
