"""Sources that change while they are followed: from what they were to what they are in one step, or not at all."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.testing.waiting import until
from kato_transport_kv_events.stream import Checkpoint, Policy, State
from kato_transport_kv_events.subscription import KVEventManager, Limits, Source
from kato_transport_kv_events.testing import stored

from .recorder import Recorder

NOWHERE = "tcp://127.0.0.1:9"


def source(publisher, **fields):
    return Source(pod="a", endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint or "", **fields)


def test_a_pod_at_another_address_is_followed_there(engine, manager, recorder):
    """From the beginning; what was held at the old one is not its own any more."""
    old, new = engine(), engine()
    old.publish(stored(1))
    new.publish(stored(2))
    manager.add_source(source(old))
    recorder.comes_to(manager, State.EXACT, 1)
    recorder.blocks.clear()
    manager.update_source(source(new))
    recorder.comes_to(manager, State.EXACT, 2)
    assert recorder.removed == [("a", 0)]
    assert [stats.endpoint for stats in manager.stats()] == [new.endpoint]


def test_a_source_that_is_not_followed_is_added(engine, manager, recorder):
    """As `add_source` does."""
    publisher = engine()
    publisher.publish(stored(1))
    manager.update_source(source(publisher))
    recorder.comes_to(manager, State.EXACT, 1)
    assert recorder.removed == []


def test_a_source_that_has_not_changed_is_left_alone(engine, manager, recorder):
    """Its connection and its counts go on, and so do those of each rank by itself."""
    publisher = engine(ranks=2)
    manager.add_source(source(publisher, ranks=2))
    for rank in range(2):
        recorder.comes_to(manager, State.EXACT, rank=rank)
    manager.update_source(source(publisher, ranks=2))
    manager.update_source(source(publisher))
    assert recorder.removed == []
    assert [stats.connections for stats in manager.stats()] == [1, 1]


def test_a_rank_that_a_source_has_no_more_is_left_alone(engine, manager):
    """It may be another source's, as ranks on several hosts are."""
    manager.add_source(Source(pod="a", endpoint=NOWHERE, ranks=2))
    manager.update_source(Source(pod="a", endpoint=NOWHERE, model="m"))
    assert [(stats.rank, stats.model) for stats in manager.stats()] == [(0, "m"), (1, "")]


@pytest.mark.parametrize(
    "refused",
    [
        {"endpoint": "tcp://nowhere"},
        {"endpoint": NOWHERE, "replay_endpoint": "carrier://pigeon"},
        {"endpoint": NOWHERE, "ranks": 2},
    ],
)
def test_what_is_refused_leaves_what_was(engine, closing, recorder, refused):
    """It is still followed, without a break; a second rank is one too many."""
    manager = closing.enter_context(KVEventManager([recorder], limits=Limits(max_sources=1)))
    publisher = engine()
    manager.add_source(source(publisher))
    recorder.comes_to(manager, State.EXACT)
    with pytest.raises(kt.InvalidSetting):
        manager.update_source(Source(pod="a", **refused))
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    assert (recorder.removed, manager.stats()[0].connections) == ([], 1)


def test_an_address_that_cannot_be_bound_leaves_what_was(engine, manager, recorder):
    """The port is another's."""
    publisher, other = engine(), engine()
    manager.add_source(source(publisher))
    recorder.comes_to(manager, State.EXACT)
    with pytest.raises(kt.BindFailed):
        manager.update_source(Source(pod="a", endpoint=other.endpoint, bind=True))
    assert manager.listener_stats() == []
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)


def test_a_refused_replay_endpoint_leaves_nothing_bound(manager):
    """Nor does a rank that could be had where the next one cannot."""
    with pytest.raises(kt.InvalidSetting):
        manager.add_source(Source(pod="a", endpoint="tcp://127.0.0.1:0", bind=True, replay_endpoint="carrier://pigeon"))
    assert manager.listener_stats() == []
    with pytest.raises(kt.InvalidSetting):
        manager.add_source(Source(pod="a", endpoint="tcp://127.0.0.1:65535", bind=True, ranks=2))
    assert (manager.listener_stats(), manager.stats()) == ([], [])


def test_a_bound_source_may_change_where_it_is(engine, manager, recorder):
    """Its engine stays connected, and what it tells from now on is heard; nobody else may take its topic and rank."""
    bound = {"endpoint": "tcp://127.0.0.1:0", "bind": True}
    manager.add_source(Source(pod="a", **bound))
    endpoint = manager.stats()[0].endpoint
    publisher = engine(endpoint=endpoint, connects=True, replay_endpoint=None)
    publisher.wait_for_subscribers()
    publisher.publish(stored(1))
    until(lambda: recorder.blocks["a", 0] == {1}, "the first block did not come")
    manager.update_source(Source(pod="a", model="m", policy=Policy.KEEP, **bound))
    publisher.publish(stored(2))
    until(lambda: recorder.blocks["a", 0] == {1, 2}, "the second block did not come")
    assert recorder.events[-1].origin.model == "m"
    assert [(stats.endpoint, stats.model) for stats in manager.stats()] == [(endpoint, "m")]
    with pytest.raises(kt.InvalidSetting, match="same topic and rank"):
        manager.update_source(Source(pod="b", **bound))


def test_a_handler_may_remove_what_takes_a_removed_ones_place(manager, closing):
    """It is told of its end, and of nothing after that."""
    told = []

    class Removes(Recorder):
        def source_changed(self, pod, rank, model, state):
            told.append((model, state))

        def source_removed(self, pod, rank):
            told.append("removed")
            removing.remove_source(pod, rank)

    removing = closing.enter_context(KVEventManager([Removes()]))
    removing.add_source(Source(pod="a", endpoint=NOWHERE, model="old"))
    removing.update_source(Source(pod="a", endpoint=NOWHERE, model="new"))
    assert told == [("old", State.CONNECTING), "removed", "removed"]
    assert removing.stats() == []


def test_an_updated_source_begins_where_a_snapshot_says(engine, closing):
    """If it was not followed before."""
    publisher, recorder = engine(), Recorder()
    for block in range(3):
        publisher.publish(stored(block))
    first = closing.enter_context(KVEventManager([recorder]))
    first.add_source(source(publisher))
    recorder.comes_to(first, State.EXACT, 0, 1, 2)
    checkpoints: dict[tuple[str, int], Checkpoint] = first.at_rest(dict)
    publisher.publish(stored(3))
    later = Recorder()
    second = closing.enter_context(KVEventManager([later], checkpoints=checkpoints))
    second.update_source(source(publisher))
    later.comes_to(second, State.EXACT, 3)
