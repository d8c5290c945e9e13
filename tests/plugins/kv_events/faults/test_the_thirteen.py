"""What other consumers of KV-cache events get wrong, in the order of the list of them: nothing of it happens here.

Each was reproduced with the consumer that it names; here an engine's publisher, a manager that follows it over real sockets
and an index show that ours does otherwise.
"""

from __future__ import annotations

import threading
import urllib.request
from collections import Counter

import msgpack
import pytest
from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families

import kato_transport as kt
from kato_transport.events import EventsLost
from kato_transport.testing.waiting import until
from kato_transport_kv_events import BlockIndex, Limits, Source, State
from kato_transport_kv_events.service.running import IndexService
from kato_transport_kv_events.testing import DIALECTS, Faults, find_dialect, removed

from ..subscription.conftest import QUICK
from .gateway import SIZE, chain, prompt

NOWHERE = "tcp://127.0.0.1:9"
"""Where nothing listens."""
AIBRIX_METRICS = {
    "kato_kv_connections_total",
    "kato_kv_disconnections_total",
    "kato_kv_reconnect_attempts_total",
    "kato_kv_events_received_total",
    "kato_kv_events_processed_total",
    "kato_kv_event_processing_duration_seconds_count",
    "kato_kv_missed_events_total",
    "kato_kv_replay_requests_total",
    "kato_kv_replay_success_total",
    "kato_kv_replay_failures_total",
    "kato_kv_errors_total",
    "kato_kv_connection_status",
    "kato_kv_last_sequence_id",
}


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if find_dialect(name).events_are_maps])
def test_fault_1_events_that_are_maps_are_indexed(dialect, engine, gateway):
    """AIBrix refuses them all, and parts of llm-d those of SGLang. Here they come by replay and live."""
    publisher, followed = engine(dialect), gateway()
    publisher.publish(chain(1, 2, 3, 4), removed(4))
    followed.follow(publisher)
    followed.comes_to(State.EXACT, {"a": 3}, 1, 2, 3, 4)
    publisher.wait_for_subscribers()
    publisher.publish(removed(3))
    followed.comes_to(State.EXACT, {"a": 2}, 1, 2, 3, 4)


@pytest.mark.parametrize("length", [16, 32])
def test_fault_2_hashes_of_16_and_32_bytes_are_hashes_like_any_other(length, engine, gateway):
    """Dynamo 1.6 refuses them. They are stored, matched, continued and removed by."""

    def named(block):
        return bytes([block]) * length

    publisher, followed = engine(), gateway()
    followed.follow(publisher)
    publisher.publish(chain(1, 2, named=named))
    publisher.publish(chain(3, 4, after=2, named=named), removed(named(4)))
    followed.comes_to(State.EXACT, {"a": 3}, 1, 2, 3, 4)
    (pod,) = followed.index.match_hashes([*map(named, (1, 2, 3, 4))]).pods
    assert pod.blocks == 3
    assert followed.stats().errors["decode"] == 0


@pytest.mark.parametrize("unknown", [{"type": "BlockMoved", "to": "DISK"}, ["BlockMoved", "DISK"]], ids=["map", "array"])
def test_fault_3_an_event_of_an_unknown_kind_costs_itself_and_not_its_batch(unknown, engine, gateway):
    """AIBrix, llm-d and Dynamo throw away the whole batch."""
    publisher, followed = engine(), gateway()
    followed.follow(publisher)
    known = [
        {"type": "BlockStored", "block_hashes": [block], "token_ids": prompt(block), "block_size": SIZE} for block in (1, 2)
    ]
    publisher.publish_payload(msgpack.packb([1.0, [known[0], unknown, known[1]], 0]))
    followed.comes_to(State.EXACT, {"a": 1}, 1)
    assert followed.leading(2) == {"a": 1}
    assert followed.stats().events_skipped == {"unknown_tag": 1, "malformed": 0}


def test_fault_4_after_a_restart_the_old_prefixes_are_gone_and_the_new_ones_are_there(engine, gateway):
    """Dynamo's stand-alone indexer answers with the old ones for ever, and never takes in a new one."""
    publisher, followed = engine(), gateway()
    followed.follow(publisher)
    for block in (1, 2, 3):
        publisher.publish(chain(block))
    followed.comes_to(State.EXACT, {"a": 1}, 3)
    publisher.restart()
    publisher.publish(chain(4, 5))
    followed.comes_to(State.EXACT, {"a": 2}, 4, 5)
    assert [followed.leading(block) for block in (1, 2, 3)] == [{}, {}, {}]
    publisher.wait_for_subscribers()
    publisher.publish(chain(6, after=5))
    followed.comes_to(State.EXACT, {"a": 3}, 4, 5, 6)
    (pod,) = followed.match(4).pods
    assert (pod.generation, followed.stats().restarts) == (1, 1)


@pytest.mark.parametrize("dead", ["nobody is there", "it never answers"])
def test_fault_5_a_dead_replay_endpoint_stops_nothing_and_the_state_says_what_is_missing(dead, engine, gateway):
    """With Dynamo the source stands still for ever, and reads "active"."""
    publisher, followed = engine(), gateway()
    publisher.publish(chain(1))
    publisher.faults = Faults(silent=True)
    followed.follow(publisher, **({"replay_endpoint": NOWHERE} if dead == "nobody is there" else {}))
    publisher.wait_for_subscribers()
    publisher.publish(chain(2))
    followed.comes_to(State.PARTIAL, {"a": 1}, 2)
    publisher.publish(chain(3, after=2))
    followed.comes_to(State.PARTIAL, {"a": 2}, 2, 3)
    assert followed.leading(1) == {}
    assert not {State.EXACT, State.STALE} & {*followed.told.states}


def test_fault_6_an_old_gap_is_told_of_and_recovered_once_that_can_be_done(engine, gateway):
    """With Dynamo it stays as it is, and the state stays "active"."""
    publisher, followed = engine(), gateway()
    followed.follow(publisher)
    publisher.publish(chain(1))
    followed.comes_to(State.EXACT, {"a": 1}, 1, 2, 3)
    publisher.wait_for_subscribers()
    publisher.faults = Faults(silent=True)
    publisher.skip(chain(2, after=1))
    publisher.publish(chain(3, after=2))
    followed.comes_to(State.PARTIAL, {}, 1, 2, 3)
    assert followed.told.lost == [(1, 1)]
    publisher.faults = Faults()
    followed.comes_to(State.EXACT, {"a": 3}, 1, 2, 3)


def test_fault_7_what_a_replay_brings_is_applied(engine, gateway):
    """AIBrix asks for it, and throws the answer away. Here it makes up for a late start, a gap and a lost tail."""
    publisher, followed = engine(), gateway()
    publisher.publish(chain(1))
    followed.follow(publisher)
    followed.comes_to(State.EXACT, {"a": 1}, 1, 2, 3, 4)
    publisher.wait_for_subscribers()
    publisher.skip(chain(2, after=1))
    publisher.publish(chain(3, after=2))
    followed.comes_to(State.EXACT, {"a": 3}, 1, 2, 3, 4)
    publisher.skip(chain(4, after=3))
    followed.comes_to(State.EXACT, {"a": 4}, 1, 2, 3, 4)
    assert followed.told.lost == []


def test_fault_8_what_one_pod_removes_the_others_still_have(engine, gateway):
    """AIBrix takes it from all of them. The hashes are the same, as they are with engines of one seed."""
    followed = gateway()
    publishers = {pod: engine() for pod in "abc"}
    for pod, publisher in publishers.items():
        followed.follow(publisher, pod)
        publisher.publish(chain(1, 2, 3))
        followed.comes_to(State.EXACT, {**followed.leading(1, 2, 3), pod: 3}, 1, 2, 3, pod=pod)
    publishers["b"].publish(removed(3, 2))
    followed.comes_to(State.EXACT, {"a": 3, "b": 1, "c": 3}, 1, 2, 3)
    publishers["a"].publish(removed(3, 2, 1))
    followed.comes_to(State.EXACT, {"b": 1, "c": 3}, 1, 2, 3)


def test_fault_9_every_block_of_a_store_can_be_matched(engine, gateway):
    """With AIBrix only the first one can. By tokens, by hashes, wherever a prompt ends, and across stores."""
    publisher, followed = engine(), gateway()
    followed.follow(publisher)
    publisher.publish(chain(*range(1, 101)))
    publisher.publish(chain(*range(101, 151), after=100))
    followed.comes_to(State.EXACT, {"a": 150}, *range(1, 201))
    for end in (1, 2, 31, 32, 33, 99, 100, 101, 149):
        assert followed.leading(*range(1, end + 1)) == {"a": end}
        assert [pod.blocks for pod in followed.index.match_hashes([*range(1, end + 1)]).pods] == [end]


def test_fault_10_every_pod_that_has_a_block_is_remembered(engine, gateway):
    """llm-d's default is to remember ten."""
    followed = gateway()
    publishers = {f"pod-{number}": engine() for number in range(16)}
    for pod, publisher in publishers.items():
        followed.follow(publisher, pod)
        publisher.publish(chain(1, 2))
    until(lambda: followed.leading(1, 2) == dict.fromkeys(publishers, 2), "not all pods were known to have the blocks")
    publishers["pod-0"].publish(removed(2))
    expected = dict.fromkeys(publishers, 2) | {"pod-0": 1}
    until(lambda: followed.leading(1, 2) == expected, "a removal did not count for its pod alone")


def test_fault_11_a_middle_block_that_comes_back_brings_its_descendants_back(engine, gateway):
    """With Dynamo they are gone for good, though the engine has had them all the time."""
    publisher, followed = engine(), gateway()
    followed.follow(publisher)
    publisher.publish(chain(1, 2, 3, 4, 5))
    followed.comes_to(State.EXACT, {"a": 5}, 1, 2, 3, 4, 5)
    publisher.publish(removed(3))
    followed.comes_to(State.EXACT, {"a": 2}, 1, 2, 3, 4, 5)
    publisher.publish(chain(3, after=2))
    followed.comes_to(State.EXACT, {"a": 5}, 1, 2, 3, 4, 5)


def test_fault_12_an_index_keeps_to_its_bound_when_an_engine_never_removes(engine, gateway):
    """Those of Dynamo, fed by events, and of AIBrix grow on and on. Here the source is partial from then on."""
    most, blocks, batches = 1_000, 16, 1_000
    index = BlockIndex(max_blocks=most)
    sizes = []

    @kt.inline
    def watch(event):
        sizes.append(index.stats().blocks)

    publisher, followed = engine(), gateway(index, watch)
    followed.follow(publisher)
    for first in range(0, blocks * batches, blocks):
        publisher.publish(chain(*range(first, first + blocks)))
    until(lambda: len(sizes) == batches, "not all batches came")
    assert most / 2 < sizes[-1] <= max(sizes) <= most
    assert index.stats().evictions == blocks * batches - sizes[-1]
    until(lambda: followed.manager.state("a") is State.PARTIAL, "a source of which blocks were given up was not partial")


def test_fault_12_live_batches_that_wait_for_a_replay_keep_to_their_bound(engine, gateway):
    """What finds no room is asked for again, so nothing is missing in the end."""
    most, batches = 20, 200
    publisher = engine()
    followed = gateway(settings=evolve(QUICK, held_batches=most, attempts=1_000))
    publisher.faults = Faults(silent=True)
    followed.follow(publisher)
    publisher.wait_for_subscribers()
    publisher.publish(chain(0))
    held = []

    def all_came():
        stats = followed.stats()
        held.append(stats.held)
        return stats.live_batches == batches

    for block in range(1, batches):
        publisher.publish(chain(block, after=block - 1))
    until(all_came, "not all batches came")
    assert max(held) <= most
    assert followed.stats().held_overflows > 0
    publisher.faults = Faults()
    followed.comes_to(State.EXACT, {"a": batches}, *range(batches))


def test_fault_12_what_waits_for_a_slow_handler_keeps_to_its_bound(engine, gateway, closing):
    """What finds no room is told to it as lost; the index has it all the same."""
    most, batches = 50, 500
    entered, gate, taken = threading.Event(), threading.Event(), []
    closing.callback(gate.set)

    def slow(event):
        entered.set()
        assert gate.wait(30)
        taken.append(event)

    publisher, followed = engine(), gateway(None, slow, limits=Limits(handler_queue=most))
    followed.follow(publisher)
    publisher.publish(chain(0))
    assert entered.wait(10)
    for block in range(1, batches):
        publisher.publish(chain(block, after=block - 1))
    followed.comes_to(State.EXACT, {"a": batches}, *range(batches))

    def waiting():
        stats = followed.manager.handler_stats()[-1]
        return stats.queued, stats.dropped

    until(lambda: waiting() == (most, batches - 1 - most), "the queue did not keep to its bound")
    gate.set()
    until(lambda: bool(taken) and isinstance(taken[-1], EventsLost), "what found no room was not told of as lost")
    assert taken[-1].last == batches - 1


def test_fault_13_every_metric_is_on_the_page_and_moves(engine, closing):
    """AIBrix has thirteen, registers them nowhere, and never moves most of them. Here a service is read as Prometheus does."""
    publisher, service = engine(buffer_steps=1), closing.enter_context(IndexService(settings=QUICK))
    page = service.serve_http("http://127.0.0.1:0") + "/metrics"
    publisher.stop()
    service.follow(Source(pod="a", endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint))

    def read():
        """What all series of a name come to."""
        with urllib.request.urlopen(page, timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        values = Counter()
        for sample in (sample for family in families for sample in family.samples):
            values[sample.name] += sample.value
        return values

    first = read()
    assert first.keys() >= AIBRIX_METRICS
    unmoved = {*AIBRIX_METRICS}

    def have_moved(*names):
        unmoved.difference_update([name for name, value in read().items() if value != first[name]])
        return unmoved.isdisjoint(names)

    publisher.start()
    publisher.wait_for_subscribers()
    publisher.publish(chain(1))
    publisher.publish_payload(b"no batch")
    until(lambda: have_moved("kato_kv_last_sequence_id", "kato_kv_errors_total"), "what came was not counted")
    publisher.faults = Faults(silent=True)
    until(lambda: have_moved("kato_kv_replay_failures_total"), "replays that failed were not counted")
    publisher.faults = Faults()
    publisher.skip(chain(2, after=1))
    publisher.skip(chain(3, after=2))
    publisher.publish(chain(4, after=3))
    until(lambda: have_moved("kato_kv_missed_events_total"), "what is missing for good was not counted")
    told = (
        "kato_kv_events_received_total",
        "kato_kv_events_processed_total",
        "kato_kv_event_processing_duration_seconds_count",
    )
    until(lambda: have_moved(*told), "what came was not counted")  # the first may have been missed: its connection was new
    publisher.stop()
    until(lambda: have_moved("kato_kv_disconnections_total", "kato_kv_reconnect_attempts_total"), "its end was not counted")
    assert unmoved == set()
