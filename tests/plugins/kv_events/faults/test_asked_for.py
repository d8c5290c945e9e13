"""What users asked other consumers for, and nobody gave them."""

from __future__ import annotations

from attrs import evolve

from kato_transport.testing.waiting import until
from kato_transport_kv_events import Snapshot, Source, State
from kato_transport_kv_events.testing import cleared, removed

from ..subscription.conftest import QUICK
from .gateway import chain


def states(followed, *blocks):
    return {pod.pod: pod.state for pod in followed.match(*blocks).pods}


def test_every_answer_says_how_far_each_source_can_be_relied_upon(engine, gateway):
    """And says otherwise as soon as it is otherwise."""
    whole, late, followed = engine(), engine(buffer_steps=1), gateway()
    for publisher, pod in ((whole, "whole"), (late, "late")):
        publisher.publish(chain(1))
        publisher.publish(chain(2))
        followed.follow(publisher, pod)
    until(lambda: states(followed, 2) == {"whole": State.EXACT, "late": State.PARTIAL}, "states were not in the answer")
    late.publish(cleared(), chain(2))
    until(lambda: states(followed, 2) == {"whole": State.EXACT, "late": State.EXACT}, "a clear did not make up for it")
    whole.stop()
    until(lambda: states(followed, 2) == {"whole": State.STALE, "late": State.EXACT}, "an engine that is gone was not stale")


def test_a_late_joiner_begins_with_a_snapshot_of_another_index(engine, gateway):
    """And has what the engine's buffer does not have any more."""
    publisher, early, late, without = engine(buffer_steps=2), gateway(), gateway(), gateway()
    early.follow(publisher)
    publisher.publish(chain(1))
    early.comes_to(State.EXACT, {"a": 1}, 1)
    publisher.wait_for_subscribers()
    for block in range(2, 6):
        publisher.publish(chain(block, after=block - 1))
    early.comes_to(State.EXACT, {"a": 5}, 1, 2, 3, 4, 5)
    snapshot = Snapshot.from_bytes(early.index.snapshot(early.manager).to_bytes())
    late.index.restore(snapshot)
    late.manager.add_source(source(publisher), snapshot.of_pod("a"))
    without.manager.add_source(source(publisher))
    late.comes_to(State.EXACT, {"a": 5}, 1, 2, 3, 4, 5)
    without.comes_to(State.PARTIAL, {}, 1, 2, 3, 4, 5)
    publisher.wait_for_subscribers(3)
    publisher.publish(chain(6, after=5))
    late.comes_to(State.EXACT, {"a": 6}, 1, 2, 3, 4, 5, 6)


def test_an_index_survives_a_restart_of_the_indexer(engine, gateway, tmp_path):
    """In a file; what happened meanwhile is made up for."""
    publisher, before, after = engine(), gateway(), gateway()
    before.follow(publisher)
    publisher.publish(chain(1, 2, 3))
    before.comes_to(State.EXACT, {"a": 3}, 1, 2, 3)
    before.index.snapshot(before.manager).save(tmp_path / "index")
    before.manager.close()
    publisher.publish(removed(3), chain(4, after=2))
    snapshot = Snapshot.load(tmp_path / "index")
    after.index.restore(snapshot)
    assert after.leading(1, 2, 3) == {"a": 3}
    after.manager.add_source(source(publisher), snapshot.of_pod("a"))
    after.comes_to(State.EXACT, {"a": 3}, 1, 2, 4)
    assert after.leading(1, 2, 3) == {"a": 2}
    assert after.told.forgotten == 0


def test_a_clear_that_was_lost_on_its_way_from_an_engine_that_idles_since_is_found(engine, gateway):
    """No gap shows it, as nothing comes behind it: the engine is asked in quiet moments."""
    publisher, followed = engine(), gateway()
    followed.follow(publisher)
    publisher.publish(chain(1, 2))
    followed.comes_to(State.EXACT, {"a": 2}, 1, 2)
    publisher.skip(cleared())
    followed.comes_to(State.EXACT, {}, 1, 2)


def test_whoever_resets_an_idle_engine_can_tell_the_index(engine, gateway):
    """vLLM keeps the clear to itself until its next step, so that nothing on the wire tells of it until then."""
    publisher, followed = engine(), gateway()
    followed.follow(publisher)
    publisher.publish(chain(1, 2))
    followed.comes_to(State.EXACT, {"a": 2}, 1, 2)
    followed.index.forget("a", 0)
    assert followed.leading(1, 2) == {}
    publisher.wait_for_subscribers()
    publisher.publish(cleared(), chain(1))
    followed.comes_to(State.EXACT, {"a": 1}, 1, 2)


def test_an_engine_that_is_connected_and_sends_nothing_is_not_taken_for_one_that_does(engine, gateway):
    """Its counts say so with any settings; and where a limit of silence is set, its state says so, too."""
    publisher, followed = engine(replay_endpoint=None), gateway(settings=evolve(QUICK, silence_limit_s=0.3))
    followed.follow(publisher)
    until(lambda: followed.manager.state("a") is State.STALE, "a source that says nothing was not stale")
    stats = followed.stats()
    assert (stats.is_connected, stats.live_batches, stats.last_sequence) == (True, 0, -1)
    publisher.wait_for_subscribers()
    publisher.publish(chain(1))
    until(lambda: State.EXACT in followed.told.states and followed.leading(1) == {"a": 1}, "it was not heard again")
    assert followed.stats().live_batches == 1


def source(publisher):
    return Source(pod="a", endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint)
