"""Every metric moves when what it counts happens: real engines, real sockets, and what Prometheus would read."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from attrs import evolve
from prometheus_client.parser import text_string_to_metric_families

import kato_transport as kt
from kato_transport.testing.waiting import until
from kato_transport_kv_events.discovery import Roster, open_discovery
from kato_transport_kv_events.index import BlockIndex
from kato_transport_kv_events.keeping import Snapshots
from kato_transport_kv_events.metrics import NAMES, KVMetrics
from kato_transport_kv_events.stream import State, StreamSettings
from kato_transport_kv_events.subscription import KVEventManager, Limits, Source
from kato_transport_kv_events.testing import Faults, cleared, encode_batch, find_dialect, removed, stored

QUICK = StreamSettings(probe_interval_s=0.3, answer_timeout_s=1.0, attempts=2, grace_s=0.3, longest_back_off_s=0.5)


class Scraped:
    """A manager and what its metrics say."""

    def __init__(self, manager: KVEventManager, *others: Any) -> None:
        self.manager = manager
        self.metrics = KVMetrics(manager, *others)

    def series(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        families = text_string_to_metric_families(self.metrics.exposition().decode())
        samples = [sample for family in families for sample in family.samples]
        found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
        assert len(found) == len(samples), "two series have one name and the same labels"
        return found

    def __call__(self, name: str, **labels: str) -> float:
        """A value of pod `a`, rank 0; or of what is no source's."""
        series = self.series()
        of_source = frozenset({"pod": "a", "rank": "0", **labels}.items())
        return series[name, of_source] if (name, of_source) in series else series[name, frozenset(labels.items())]

    def comes_to(self, name: str, value: float, **labels: str) -> None:
        until(lambda: self(name, **labels) == value, f"{name} did not come to {value}")

    def moves(self, name: str, **labels: str) -> None:
        until(lambda: self(name, **labels) > 0, f"{name} did not move")


@pytest.fixture
def scraped(closing) -> Callable[..., Scraped]:
    """The metrics of a manager: `scraped(publisher, handlers=…, limits=…, settings=…, **fields of the source)`."""

    def made(publisher=None, *, handlers=(), limits=None, settings=QUICK, **fields) -> Scraped:
        manager = closing.enter_context(KVEventManager(handlers, settings=settings, limits=limits))
        if publisher is not None:
            fields = {"endpoint": publisher.endpoint, "replay_endpoint": publisher.replay_endpoint or "", **fields}
        manager.add_source(Source(pod="a", **fields))
        return Scraped(manager)

    return made


@pytest.fixture
def raw(closing) -> Callable[..., zmq.Socket]:
    """A bound socket of any kind, and where it is."""
    context = closing.enter_context(zmq.Context())

    def bound(kind: int) -> zmq.Socket:
        sock = closing.enter_context(context.socket(kind))
        sock.linger = 0
        sock.bind("tcp://127.0.0.1:0")
        return sock

    return bound


def batch(*events, rank=0):
    return encode_batch(events, find_dialect("vllm-0.33.0"), time.time(), rank)


def number(sequence):
    return sequence.to_bytes(8, "big")


def test_events_are_counted_from_their_coming_to_their_handing_on(engine, scraped):
    """By type; with the connection, the last number, and how long it took."""
    publisher = engine()
    value = scraped(publisher)
    value.comes_to("kato_kv_source_state", 1, state="exact")
    assert value("kato_kv_last_sequence_id") == -1
    publisher.publish(stored(1), stored(2), timestamp_s=time.time() - 500)
    publisher.publish(removed(1), cleared(), timestamp_s=time.time() - 1000)
    value.comes_to("kato_kv_last_sequence_id", 1)
    value.comes_to("kato_kv_event_processing_duration_seconds_count", 2)
    for name in ("kato_kv_events_received_total", "kato_kv_events_processed_total"):
        assert value(name, event_type="BlockStored") == 2
        assert value(name, event_type="BlockRemoved") == value(name, event_type="AllBlocksCleared") == 1
    assert value("kato_kv_event_processing_duration_seconds_bucket", le="+Inf") == 2
    assert value("kato_kv_event_processing_duration_seconds_sum") > 0
    assert value("kato_kv_connections_total") == value("kato_kv_connection_status") == 1
    assert value("kato_kv_live_batches_total") == 2
    assert 900 < value("kato_kv_lag_seconds") < 1100


def test_processing_times_have_fifteen_buckets_from_ten_microseconds_on(engine, scraped):
    """Each twice the one before, as AIBrix has them."""
    series = scraped(engine()).series()
    name = "kato_kv_event_processing_duration_seconds_bucket"
    bounds = sorted(float(dict(labels)["le"]) for found, labels in series if found == name)
    assert bounds == pytest.approx([10e-6 * 2**power for power in range(15)] + [float("inf")])


def test_connections_that_end_are_counted(engine, scraped):
    """And the attempts to have another one; the state says so in the end."""
    publisher = engine()
    value = scraped(publisher)
    value.comes_to("kato_kv_connection_status", 1)
    publisher.stop()
    value.comes_to("kato_kv_disconnections_total", 1)
    value.comes_to("kato_kv_connection_status", 0)
    value.moves("kato_kv_reconnect_attempts_total")
    value.comes_to("kato_kv_source_state", 1, state="stale")
    assert sum(value("kato_kv_source_state", state=state) for state in State) == 1


def test_a_restart_resets_the_generation(engine, scraped):
    """What the former life held is given up."""
    publisher = engine()
    value = scraped(publisher)
    publisher.publish(stored(1))
    value.comes_to("kato_kv_last_sequence_id", 0)
    publisher.restart()
    publisher.publish(stored(2))
    value.comes_to("kato_kv_restarts_total", 1)
    value.comes_to("kato_kv_generation_resets_total", 1)


def test_a_gap_and_its_replay_are_counted(engine, scraped):
    """Nothing is missing in the end."""
    publisher = engine()
    value = scraped(publisher)
    value.comes_to("kato_kv_source_state", 1, state="exact")
    publisher.publish(stored(1))
    value.comes_to("kato_kv_last_sequence_id", 0)
    for block in (2, 3):
        publisher.skip(stored(block))
    publisher.publish(stored(4))
    value.comes_to("kato_kv_last_sequence_id", 3)
    assert value("kato_kv_gaps_total") == 1
    assert value("kato_kv_gap_batches_total") == 2
    assert value("kato_kv_replay_requests_total") >= value("kato_kv_replay_success_total") >= 2
    assert value("kato_kv_replayed_batches_total") >= 2
    assert value("kato_kv_replay_duration_seconds_count") >= 2
    assert value("kato_kv_replay_duration_seconds_sum") > 0
    assert value("kato_kv_missed_events_total") == 0


def test_what_is_missing_for_good_is_counted(engine, scraped):
    """Without a replay endpoint a gap stays one."""
    publisher = engine(replay_endpoint=None)
    value = scraped(publisher)
    publisher.wait_for_subscribers()
    publisher.publish(stored(1))
    publisher.skip(stored(2))
    publisher.skip(stored(3))
    publisher.publish(stored(4))
    value.comes_to("kato_kv_missed_events_total", 2)


def test_replays_without_an_answer_are_counted_and_what_waits_for_them_is(engine, scraped):
    """Until they are given up; over its bound the buffer is emptied."""
    publisher = engine()
    publisher.faults = Faults(silent=True)
    value = scraped(publisher, settings=evolve(QUICK, answer_timeout_s=30.0, held_batches=2))
    value.comes_to("kato_kv_source_state", 1, state="syncing")
    publisher.wait_for_subscribers()
    publisher.publish(stored(1))
    value.comes_to("kato_kv_live_buffer_batches", 1)
    publisher.publish(stored(2))
    publisher.publish(stored(3))
    value.comes_to("kato_kv_live_buffer_overflows_total", 1)
    impatient = scraped(publisher, settings=evolve(QUICK, answer_timeout_s=0.1))
    impatient.moves("kato_kv_replay_failures_total")


def test_errors_are_counted_by_category(closing, engine, scraped, raw):
    """What cannot be decoded, of another rank, no batch, no publisher, no answer; a handler that raises."""

    @kt.inline
    def fail(event):
        raise RuntimeError("this handler always fails")

    publisher = engine()
    value = scraped(publisher, handlers=[fail])
    publisher.publish(stored(1), rank=0)
    publisher.publish_payload(b"\xc1 garbage")
    publisher.publish_payload(batch(stored(1), rank=3))
    for error_type in ("decode", "rank"):
        value.comes_to("kato_kv_errors_total", 1, error_type=error_type)
    value.comes_to("kato_kv_errors_total", 2, error_type="handle_event")
    value.comes_to("kato_kv_handler_failures_total", 2, handler="function", position="0")

    rude, router = raw(zmq.XPUB), raw(zmq.ROUTER)
    value = scraped(endpoint=rude.last_endpoint.decode(), replay_endpoint=router.last_endpoint.decode())
    assert rude.recv() == b"\x01"
    rude.send_multipart([b"one", b"two"])
    value.comes_to("kato_kv_errors_total", 1, error_type="frames")
    router.send_multipart([router.recv_multipart()[0], b"no answer"])
    value.comes_to("kato_kv_errors_total", 1, error_type="replay")

    listening = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
    value = scraped(endpoint=f"tcp://127.0.0.1:{listening.getsockname()[1]}")
    listening.accept()[0].close()
    value.moves("kato_kv_errors_total", error_type="connect")


def test_events_that_cannot_be_read_are_counted_by_reason(engine, scraped):
    """Those that say their type were received, and not processed."""
    publisher = engine()
    value = scraped(publisher)
    bad = {"type": "BlockRemoved", "block_hashes": "none"}
    publisher.publish_payload(msgpack.packb([1.0, [{"type": "BlockMoved"}, bad], 0]))
    value.comes_to("kato_kv_events_skipped_total", 1, reason="unknown_tag")
    value.comes_to("kato_kv_events_skipped_total", 1, reason="malformed")
    assert value("kato_kv_events_received_total", event_type="BlockRemoved") == 1
    assert value("kato_kv_events_processed_total", event_type="BlockRemoved") == 0


def test_live_batches_that_are_known_already_are_counted(engine, scraped, raw):
    """Because a replay brought them, or because they came twice; and numbers that fall."""
    publisher, live = engine(), raw(zmq.XPUB)
    payload = batch(stored(1))
    publisher.publish_payload(payload)
    value = scraped(publisher, endpoint=live.last_endpoint.decode())
    assert live.recv() == b"\x01"
    value.comes_to("kato_kv_last_sequence_id", 0)
    live.send_multipart([b"", number(0), payload])
    value.comes_to("kato_kv_batches_ignored_total", 1, reason="overlap")
    live.send_multipart([b"", number(0), payload])
    value.comes_to("kato_kv_batches_ignored_total", 1, reason="duplicate")
    live.send_multipart([b"", number(0), batch(stored(2))])
    value.comes_to("kato_kv_sequence_falls_total", 1)


def test_batches_of_an_unclear_connection_are_counted(engine, scraped):
    """Which no test brings about at will; so the count is given."""
    value = scraped(engine())
    (stats,) = value.manager.stats()

    class Given:
        handler_stats = listener_stats = list

        def stats(self):
            return [evolve(stats, discarded=7)]

    value.metrics = KVMetrics(Given())
    assert value("kato_kv_batches_ignored_total", reason="discarded") == 7


def test_a_handlers_queue_is_told_and_what_finds_no_room_in_it(engine, scraped):
    """Of each handler by itself, also where two have one name."""
    gate, entered = threading.Event(), threading.Event()

    def slow(event):
        entered.set()
        gate.wait()

    def quick(event):
        pass

    publisher = engine()
    value = scraped(publisher, handlers=[slow, quick], limits=Limits(handler_queue=3))
    publisher.publish(stored(0))
    assert entered.wait(10)
    for block in range(1, 6):
        publisher.publish(stored(block))
        value.comes_to("kato_kv_last_sequence_id", block)
    assert value("kato_kv_handler_queue_events", handler="function", position="0") == 3
    assert value("kato_kv_handler_dropped_events_total", handler="function", position="0") == 2
    gate.set()
    value.comes_to("kato_kv_handler_queue_events", 0, handler="function", position="0")


def test_what_is_nobodys_at_a_bound_endpoint_is_counted(engine, scraped, raw):
    """Batches of a rank that no source has, and messages that are no batches."""
    value = scraped(endpoint="tcp://127.0.0.1:0", bind=True)
    endpoint = value.manager.listener_stats()[0].endpoint
    value.manager.add_source(Source(pod="b", endpoint=endpoint, rank=1, bind=True))
    publisher = engine(endpoint=endpoint, connects=True, replay_endpoint=None)
    publisher.wait_for_subscribers()
    publisher.publish_payload(batch(stored(1), rank=7))
    publisher.publish_payload(batch(stored(1), rank=1))
    value.comes_to("kato_kv_unrouted_batches_total", 1, endpoint=endpoint)
    assert value("kato_kv_malformed_messages_total", endpoint=endpoint) == 0
    rude = raw(zmq.XPUB)
    rude.connect(endpoint)
    assert rude.recv() == b"\x01"
    rude.send(b"no batch")
    value.comes_to("kato_kv_malformed_messages_total", 1, endpoint=endpoint)


def test_what_an_index_holds_is_told(closing, engine):
    """And what becomes of it: removals, known and unknown, blocks of elsewhere, orphans, evictions."""
    index = BlockIndex(max_blocks=1000)
    value = Scraped(closing.enter_context(KVEventManager([index])), index)
    for pod in ("a", "b"):
        publisher = engine()
        value.manager.add_source(Source(pod=pod, endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint))
        publisher.publish(stored(1, 2, token_ids=range(32), block_size=16))
    value.comes_to("kato_kv_index_resident_blocks", 4)
    assert value("kato_kv_index_blocks") == 2
    assert value("kato_kv_index_sources") == 2
    assert value("kato_kv_index_bytes") > 0
    publisher.publish(stored(8, parent_block_hash=7, token_ids=range(16), block_size=16))
    value.comes_to("kato_kv_index_orphan_blocks", 1)
    publisher.publish(stored(9, token_ids=range(50, 66), block_size=16, locality="REMOTE"), removed(2), removed(99))
    value.comes_to("kato_kv_index_remote_blocks_total", 1)
    assert value("kato_kv_index_stored_blocks_total") == 5
    value.comes_to("kato_kv_index_removed_blocks_total", 1)
    value.comes_to("kato_kv_index_unknown_removals_total", 1)
    for first in range(100, 3000, 20):
        publisher.publish(stored(*range(first, first + 20), token_ids=range(first, first + 320), block_size=16))
    value.moves("kato_kv_index_evictions_total")
    until(lambda: value.manager.state("b") is State.PARTIAL, "what was given up did not make the source partial")


def test_matches_are_told_by_time_and_by_what_was_found(closing, engine):
    """As histograms; none is a bucket of its own."""
    index = BlockIndex()
    value = Scraped(closing.enter_context(KVEventManager([index])), index)
    publisher = engine()
    value.manager.add_source(Source(pod="a", endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint))
    publisher.publish(stored(1, 2, 3, token_ids=range(48), block_size=16))
    value.comes_to("kato_kv_index_blocks", 3)
    assert len(index.match(range(48)).pods) == 1
    assert index.match([7] * 48).pods == ()
    assert value("kato_kv_match_duration_seconds_count") == 2
    assert value("kato_kv_match_duration_seconds_sum") > 0
    assert [value("kato_kv_matched_blocks_bucket", le=le) for le in ("0.0", "1.0", "2.0", "4.0", "+Inf")] == [1, 1, 1, 2, 2]
    assert value("kato_kv_matched_blocks_sum") == 3


def test_what_a_discovery_finds_is_told(closing, engine, tmp_path):
    """How many sources, how many of them are followed, when, and what went wrong."""
    file = tmp_path / "sources"
    publisher = engine()
    name = f"file:{file}?interval=0.05"
    manager = closing.enter_context(KVEventManager())
    value = Scraped(manager, None, [closing.enter_context(Roster(manager, open_discovery(name)))])
    value.moves("kato_kv_discovery_errors_total", discovery=name, error_type="lookup")
    file.write_text(f"a={publisher.endpoint}")
    value.comes_to("kato_kv_discovery_sources_followed", 1, discovery=name)
    assert value("kato_kv_discovery_sources_found", discovery=name) == 1
    assert 0 <= time.time() - value("kato_kv_discovery_last_success_timestamp_seconds", discovery=name) < 100


def test_what_becomes_of_snapshots_is_told(closing, tmp_path):
    """Saved, and not to be saved."""
    index, path = BlockIndex(), tmp_path / "index"
    manager = closing.enter_context(KVEventManager([index]))
    snapshots = Snapshots(index, manager, path)
    value = Scraped(manager, index, [], snapshots)
    snapshots.save()
    assert value("kato_kv_snapshot_saves_total") == 1
    assert value("kato_kv_snapshot_bytes") == path.stat().st_size
    assert 0 <= time.time() - value("kato_kv_snapshot_last_saved_timestamp_seconds") < 100
    path.unlink()
    path.mkdir()
    with pytest.raises(kt.ServiceError):
        snapshots.save()
    assert value("kato_kv_snapshot_failures_total") == 1


def test_what_belongs_to_a_source_is_gone_with_it(engine, scraped):
    """No series of it is left; those of the others stay."""
    publisher = engine(ranks=2)
    value = scraped(publisher)
    value.manager.add_source(Source(pod='odd "name"\\\n', endpoint=publisher.endpoints[1]))
    pods = [dict(labels)["pod"] for _, labels in value.series() if ("rank", "0") in labels]
    assert set(pods) == {"a", 'odd "name"\\\n'}
    value.manager.remove_source("a")
    assert {dict(labels).get("pod") for _, labels in value.series()} == {'odd "name"\\\n'}


def test_every_metric_has_a_test_that_moves_it():
    """By its name in this file."""
    text = Path(__file__).read_text()
    assert [name for name in NAMES if not re.search(rf"\b{name}(_total|_count|_sum|_bucket)?\b", text)] == []
