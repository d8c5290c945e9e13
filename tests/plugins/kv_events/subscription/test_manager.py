"""Many sources on one thread, from their adding to the end; threads, forks and leaks."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import pytest

import kato_transport as kt
from kato_transport.testing.sections.forking import in_child, needs_fork
from kato_transport.testing.waiting import GRACE_S, at_most, background, outcomes, until
from kato_transport_kv_events.stream import State, StreamSettings
from kato_transport_kv_events.subscription import KVEventManager, Limits, Source
from kato_transport_kv_events.testing import EventPublisher, Faults, stored

from .conftest import QUICK
from .recorder import Recorder

needs_descriptors = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not tell descriptors")


def source(publisher, pod="a", **fields):
    return Source(pod=pod, endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint or "", **fields)


def threads():
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("kato-kv-"))


PODS, RANKS, BATCHES = 10, 20, 50
"""Two hundred engines, each with two sockets of its own."""


@pytest.fixture
def descriptors():
    """As many as the system allows; a few thousand at least."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 16 * PODS * RANKS:
        pytest.skip(f"this system allows no more than {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield lambda: len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@needs_descriptors
def test_hundreds_of_sources_are_followed_on_one_thread(engine, recorder, descriptors):
    """Each has its own numbers, state and blocks; every batch is told once, and at the end nothing is left of any."""
    publishers = [engine(ranks=RANKS) for _ in range(PODS)]
    everywhere = [(number, rank) for number in range(PODS) for rank in range(RANKS)]
    before, open_before = threads(), descriptors()
    with KVEventManager([recorder], settings=QUICK) as manager:
        for number, publisher in enumerate(publishers):
            publisher.publish(stored(0), rank=number)  # of one rank, before anybody listens
            manager.add_source(source(publisher, f"pod-{number}", ranks=RANKS))
        assert len(threads()) == len(before) + 1
        until(lambda: all(stats.state is State.EXACT for stats in manager.stats()), "not all sources became exact", 30.0)
        for block in range(BATCHES):
            for number, rank in everywhere:
                tell = publishers[number].skip if block == rank else publishers[number].publish
                tell(stored(block, token_ids=range(16), block_size=16), rank=rank)
        for number, rank in everywhere:
            recorder.comes_to(manager, State.EXACT, *range(BATCHES), pod=f"pod-{number}", rank=rank)
        assert len(threads()) == len(before) + 1
        assert len(recorder.events) == len(everywhere) * BATCHES + PODS
        assert [(stats.held, stats.missed_batches) for stats in manager.stats()] == [(0, 0)] * len(everywhere)
    until(lambda: descriptors() <= open_before, "descriptors were left open")
    assert threads() == before


def test_only_so_many_replays_are_under_way_at_once(engine, closing, recorder):
    """The others wait for their turn, and get it, whatever becomes of the first."""
    manager = closing.enter_context(KVEventManager([recorder], settings=QUICK, limits=Limits(max_rounds=1)))
    silent = engine()
    silent.faults = Faults(silent=True)
    manager.add_source(source(silent, "silent"))
    publishers = [engine() for _ in range(5)]
    for number, publisher in enumerate(publishers):
        publisher.publish(stored(number))
        manager.add_source(source(publisher, f"pod-{number}"))
    for number in range(5):
        recorder.comes_to(manager, State.EXACT, number, pod=f"pod-{number}")


def test_ranks_are_followed_each_by_itself(engine, manager, recorder):
    """A port apart, for both sockets."""
    publisher = engine(ranks=3)
    manager.add_source(source(publisher, ranks=3))
    for rank in range(3):
        publisher.publish(stored(rank), rank=rank)
    for rank in range(3):
        recorder.comes_to(manager, State.EXACT, rank, rank=rank)


def test_the_rank_is_the_one_that_the_source_was_given(engine, manager, recorder):
    """Whatever the batches say: two engines that both call themselves rank 0 stay two."""
    first, second = engine(), engine()
    manager.add_source(source(first))
    manager.add_source(source(second, rank=1))
    first.publish(stored(1))
    second.publish(stored(2))
    recorder.comes_to(manager, State.EXACT, 1)
    recorder.comes_to(manager, State.EXACT, 2, rank=1)
    assert {event.origin.rank for event in recorder.events} == {0, 1}
    assert [stats.errors["rank"] for stats in manager.stats()] == [0, 1]


def test_a_source_is_added_once(engine, manager):
    """The second time is an error, and changes nothing."""
    publisher = engine()
    manager.add_source(source(publisher))
    with pytest.raises(kt.InvalidSetting, match="source 'a', rank 0, is followed already"):
        manager.add_source(source(publisher))
    assert len(manager.stats()) == 1


def test_a_malformed_source_is_told_to_who_adds_it(manager):
    """And none of its ranks is followed."""
    with pytest.raises(kt.InvalidSetting, match="expected tcp://HOST:PORT"):
        manager.add_source(Source(pod="a", endpoint="tcp://nowhere"))
    with pytest.raises(kt.InvalidSetting, match="there is no port 65536"):
        manager.add_source(Source(pod="a", endpoint="tcp://127.0.0.1:65534", ranks=3))
    with pytest.raises(kt.InvalidSetting, match="'tcp://nowhere'"):
        manager.add_source(Source(pod="a", endpoint="tcp://127.0.0.1:9", replay_endpoint="tcp://nowhere"))
    assert manager.stats() == []


def test_sources_are_bounded(engine, closing):
    """One more is refused."""
    manager = closing.enter_context(KVEventManager(limits=Limits(max_sources=2)))
    publisher = engine()
    manager.add_source(source(publisher, "a"))
    with pytest.raises(kt.InvalidSetting, match="there are 1 of at most 2"):
        manager.add_source(source(publisher, "b", ranks=2))
    manager.add_source(source(publisher, "c"))


def test_a_removed_source_is_told_of_no_more(engine, manager, recorder):
    """And may be added again."""
    publisher = engine()
    manager.add_source(source(publisher))
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    manager.remove_source("a")
    manager.remove_source("a")
    assert manager.state("a") is None
    publisher.publish(stored(2))
    manager.add_source(source(publisher))
    recorder.comes_to(manager, State.EXACT, 1, 2)
    assert len(recorder.events) == 3


def test_a_snapshot_goes_on_where_it_was_taken(engine, manager, recorder, closing):
    """Blocks and checkpoints are of one moment; a second manager is told only what came since."""
    publisher = engine()
    manager.add_source(source(publisher))
    publisher.publish(stored(1))
    publisher.publish(stored(2))
    recorder.comes_to(manager, State.EXACT, 1, 2)
    checkpoints, blocks = manager.at_rest(lambda found: (dict(found), set(recorder.blocks["a", 0])))
    manager.close()
    publisher.publish(stored(3))
    later = Recorder()
    later.blocks["a", 0] |= blocks
    second = closing.enter_context(KVEventManager([later], settings=QUICK))
    second.add_source(source(publisher), {0: checkpoints["a", 0]})
    later.comes_to(second, State.EXACT, 1, 2, 3)
    assert len(later.events) == 1


def test_threads_may_add_and_remove_at_the_same_time(engine, manager):
    """Nobody hangs, nobody fails."""
    publisher = engine()

    def come_and_go(number):
        for _ in range(5):
            manager.add_source(source(publisher, f"pod-{number}"))
            assert manager.state(f"pod-{number}") is not None
            manager.stats()
            manager.remove_source(f"pod-{number}")

    assert outcomes([background(come_and_go, number) for number in range(4)], "coming and going", 20.0) == [None] * 4
    assert manager.stats() == []


def test_closing_is_prompt_final_and_idempotent(engine, recorder):
    """Whatever is under way."""
    publisher = engine()
    for block in range(1000):
        publisher.publish(stored(block))
    manager = KVEventManager([recorder], settings=QUICK)
    manager.add_source(source(publisher))
    manager.add_source(Source(pod="nobody", endpoint="tcp://127.0.0.1:9", replay_endpoint="tcp://127.0.0.1:9"))
    with at_most(GRACE_S, "closing"):
        assert outcomes([background(manager.close) for _ in range(3)], "close", GRACE_S) == [None] * 3
    told = len(recorder.events)
    publisher.publish(stored(5000))
    with pytest.raises(kt.ClientClosed):
        manager.add_source(source(publisher))
    assert (manager.stats(), len(recorder.events)) == ([], told)


def test_a_manager_that_followed_nothing_closes(recorder):
    """It has not even a thread."""
    before = threads()
    manager = KVEventManager([recorder])
    assert threads() == before
    manager.close()


def test_an_unused_manager_costs_nothing_and_two_do_not_meet(engine, closing):
    """Each has a thread, sockets and counts of its own."""
    publisher, recorders = engine(), [Recorder(), Recorder()]
    managers = [closing.enter_context(KVEventManager([recorder], settings=QUICK)) for recorder in recorders]
    for manager in managers:
        manager.add_source(source(publisher))
    publisher.wait_for_subscribers(2)
    publisher.publish(stored(1))
    for manager, recorder in zip(managers, recorders, strict=True):
        recorder.comes_to(manager, State.EXACT, 1)


@needs_descriptors
def test_no_thread_and_no_descriptor_is_left_behind():
    """A first round may open what the process keeps; further ones add nothing."""

    def live_through():
        recorder = Recorder()
        with EventPublisher() as publisher, KVEventManager([recorder, recorder.events.append], settings=QUICK) as manager:
            publisher.publish(stored(1))
            manager.add_source(source(publisher))
            manager.add_source(Source(pod="bound", endpoint="tcp://127.0.0.1:0", bind=True))
            manager.add_source(Source(pod="nobody", endpoint="tcp://127.0.0.1:9", replay_endpoint="tcp://127.0.0.1:9"))
            recorder.comes_to(manager, State.EXACT, 1)
            publisher.restart()
            publisher.publish(stored(2))
            recorder.comes_to(manager, State.EXACT, 2)

    def open_descriptors():
        return len(os.listdir("/proc/self/fd"))

    live_through()
    gc.collect()
    before = open_descriptors()
    for _ in range(3):
        live_through()
    until(lambda: open_descriptors() <= before, "descriptors were left behind")
    until(lambda: threads() == [], "threads were left behind")


def test_an_idle_source_keeps_nobody_busy(engine, manager, recorder):
    """Waiting costs no processor time."""
    publisher = engine()
    manager.add_source(source(publisher))
    manager.add_source(Source(pod="nobody", endpoint="tcp://127.0.0.1:9"))
    recorder.comes_to(manager, State.EXACT)
    began = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - began < 0.5


@needs_fork
def test_a_fork_leaves_the_parent_as_it_was(engine, manager, recorder):
    """The child has the manager without its sources, may follow anew, and closes what it has."""
    publisher = engine()
    publisher.publish(stored(1))
    manager.add_source(source(publisher))
    recorder.comes_to(manager, State.EXACT, 1)

    def live_as_child():
        assert manager.stats() == []
        manager.add_source(source(publisher, "mine"))
        recorder.comes_to(manager, State.EXACT, 1, pod="mine")
        manager.close()

    assert in_child(live_as_child) == "fine"
    publisher.publish(stored(2))
    recorder.comes_to(manager, State.EXACT, 1, 2)


@needs_fork
def test_a_child_may_let_everything_go(engine, manager, recorder):
    """Without a word to the parent's engine."""
    publisher = engine()
    manager.add_source(source(publisher))
    recorder.comes_to(manager, State.EXACT)
    assert in_child(manager.close) == "fine"
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    assert manager.stats()[0].connections == 1


def test_settings_and_limits_are_checked():
    """Before anything runs."""
    with pytest.raises(ValueError, match="max_rounds"):
        Limits(max_rounds=0)
    with pytest.raises(ValueError, match="probe_interval_s"):
        StreamSettings(probe_interval_s=0)
