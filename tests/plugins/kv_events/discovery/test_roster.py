"""What a discovery finds is followed, whatever goes wrong with one source, one lookup, or the discovery itself."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from kato_transport.testing.sections.forking import in_child, needs_fork
from kato_transport.testing.waiting import GRACE_S, at_most, until
from kato_transport_kv_events.discovery import Roster
from kato_transport_kv_events.subscription import KVEventManager, Limits, Source
from kato_transport_kv_events.testing import stored

from .seen import ByHand, comes_to_follow, followed


def source(pod, endpoint="tcp://127.0.0.1:9", **fields):
    return Source(pod=pod, endpoint=endpoint, **fields)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "kato-kv-discovery"]


@pytest.fixture
def discovery():
    return ByHand()


@pytest.fixture
def roster(follow, discovery):
    return follow(discovery)


def test_sources_come_and_go(roster, discovery, manager):
    """As they are found."""
    report = discovery.report()
    report.found([source("a"), source("b")])
    comes_to_follow(manager, a="tcp://127.0.0.1:9", b="tcp://127.0.0.1:9")
    report.found([source("b")])
    comes_to_follow(manager, b="tcp://127.0.0.1:9")
    report.found([])
    comes_to_follow(manager)


def test_a_pod_at_a_new_address_keeps_its_name(closing, discovery, publisher):
    """It is followed there, from the beginning."""
    events = []
    manager = closing.enter_context(KVEventManager([events.append]))
    closing.enter_context(Roster(manager, discovery))
    report = discovery.report()
    report.found([source("a")])
    publisher.publish(stored(1))
    report.found([source("a", publisher.endpoint, replay_endpoint=publisher.replay_endpoint)])
    until(lambda: [event.origin.pod for event in events] == ["a"], "the pod was not followed to its new address")


def test_a_source_that_stays_is_followed_without_a_break(roster, discovery, manager, publisher):
    """Its counts go on."""
    report = discovery.report()
    stays = source("a", publisher.endpoint)
    report.found([stays])
    until(lambda: manager.stats()[0].connections == 1, "nothing was connected to")
    report.found([source("b"), stays])
    assert manager.stats()[0].connections == 1
    assert manager.stats()[0].disconnections == 0


def test_a_source_that_is_refused_stops_no_other(roster, discovery, manager):
    """It is counted, and tried again with the next report."""
    report = discovery.report()
    report.found([source("bad", "tcp://nowhere"), source("good")])
    assert followed(manager) == {("good", 0): "tcp://127.0.0.1:9"}
    assert (roster.stats().wanted, roster.stats().followed, roster.stats().errors["add"]) == (2, 1, 1)
    report.found([source("bad", "tcp://nowhere"), source("good")])
    assert roster.stats().errors["add"] == 2


def test_a_refusal_is_over_once_its_cause_is(closing, discovery):
    """A source that found no room is followed when another has gone."""
    manager = closing.enter_context(KVEventManager(limits=Limits(max_sources=1)))
    roster = closing.enter_context(Roster(manager, discovery))
    report = discovery.report()
    report.found([source("a"), source("b")])
    assert followed(manager).keys() == {("a", 0)}
    report.found([source("b")])
    assert followed(manager).keys() == {("b", 0)}
    assert roster.stats().followed == 1


def test_names_may_be_exchanged_at_one_bound_endpoint(roster, discovery, manager):
    """What is in the way is removed before anything is added."""
    report = discovery.report()
    bound = {"endpoint": "tcp://127.0.0.1:0", "bind": True}
    report.found([source("a", topic="x", **bound), source("b", topic="y", **bound)])
    report.found([source("a", topic="y", **bound), source("b", topic="x", **bound)])
    assert followed(manager).keys() == {("a", 0), ("b", 0)}
    assert roster.stats().errors["add"] == 0


def test_all_ranks_of_a_source_go_with_it_and_no_others(roster, discovery, manager):
    """A pod's ranks may be several sources, as those on several hosts are."""
    report = discovery.report()
    report.found([source("a", ranks=2), source("a", "tcp://127.0.0.1:19", rank=2, ranks=2)])
    assert followed(manager).keys() == {("a", rank) for rank in range(4)}
    report.found([source("a", "tcp://127.0.0.1:19", rank=2, ranks=2)])
    assert followed(manager).keys() == {("a", 2), ("a", 3)}


def test_what_others_added_is_left_alone(roster, discovery, manager):
    """A name that is taken is refused, and not taken away either."""
    manager.add_source(source("mine"))
    report = discovery.report()
    report.found([source("mine", "tcp://127.0.0.1:19"), source("a")])
    report.found([])
    comes_to_follow(manager, mine="tcp://127.0.0.1:9")
    assert roster.stats().errors["add"] == 1


def test_a_failed_lookup_changes_nothing(roster, discovery, manager):
    """What was found last holds; the failure is counted under its category."""
    report = discovery.report()
    before = time.time()
    report.found([source("a")])
    found_at = roster.stats().last_success_at
    report.failed("lookup", "nobody there")
    comes_to_follow(manager, a="tcp://127.0.0.1:9")
    stats = roster.stats()
    assert before <= found_at <= time.time()
    assert (stats.last_success_at, stats.wanted, stats.errors["lookup"], stats.name) == (found_at, 1, 1, "by-hand")


def test_nothing_found_yet_is_told(roster):
    """By a time of 0."""
    stats = roster.stats()
    assert (stats.last_success_at, stats.wanted, stats.followed) == (0.0, 0, 0)
    assert stats.errors == {"lookup": 0, "source": 0, "add": 0, "crash": 0}


def test_what_stays_wrong_is_logged_once(roster, discovery, caplog):
    """And again when it comes back after it was right."""
    report = discovery.report()
    said = "nobody there"
    with caplog.at_level(logging.WARNING, "kato_transport.kv_events"):
        for _ in range(3):
            report.failed("lookup", said)
        assert caplog.messages == ["by-hand: nobody there"]
        report.found([])
        report.found([])
        report.failed("lookup", said)
        assert caplog.messages == ["by-hand: nobody there"] * 2
    assert roster.stats().errors["lookup"] == 4


def test_a_source_that_stays_unfit_is_logged_once(roster, discovery, caplog):
    """However often it is tried."""
    report = discovery.report()
    with caplog.at_level(logging.WARNING, "kato_transport.kv_events"):
        for _ in range(3):
            report.found([source("bad", "tcp://nowhere")])
    (message,) = caplog.messages
    assert message.startswith("by-hand: source 'bad' cannot be followed: ")
    assert roster.stats().errors["add"] == 3


def test_a_discovery_that_fails_is_run_again(follow, manager, caplog):
    """A plugin's fault is logged with its traceback, and counted."""
    discovery = ByHand()
    discovery.raises = RuntimeError("boom")
    roster = follow(discovery)
    discovery.report().found([source("a")])
    comes_to_follow(manager, a="tcp://127.0.0.1:9")
    assert roster.stats().errors["crash"] == 1
    assert "RuntimeError: boom" in caplog.text


def test_closing_is_prompt_final_and_idempotent(roster, discovery, manager):
    """What was followed stays; what is told later is not heard; no thread is left."""
    report = discovery.report()
    report.found([source("a")])
    with at_most(GRACE_S, "closing"):
        roster.close()
        roster.close()
    assert threads() == []
    report.found([source("b")])
    report.failed("lookup", "too late")
    comes_to_follow(manager, a="tcp://127.0.0.1:9")
    assert roster.stats().errors["lookup"] == 0


def test_a_closed_manager_ends_its_rosters(roster, discovery, manager):
    """Nothing is told as an error."""
    report = discovery.report()
    report.found([source("a")])
    manager.close()
    report.found([source("b")])
    until(lambda: threads() == [], "the discovery went on")
    assert roster.stats().errors["add"] == 0


@needs_fork
def test_a_fork_leaves_the_parent_as_it_was(roster, discovery, manager):
    """The child has neither discovery nor sources, and closes without a word to the parent's."""
    report = discovery.report()
    report.found([source("a")])

    def live_as_child():
        assert roster.stats().followed == 0
        roster.close()
        assert not discovery.closed.is_set()
        manager.close()

    assert in_child(live_as_child) == "fine"
    report.found([source("b")])
    comes_to_follow(manager, b="tcp://127.0.0.1:9")
