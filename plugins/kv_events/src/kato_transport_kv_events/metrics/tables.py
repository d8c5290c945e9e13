"""Every metric, by what it belongs to. The first thirteen of a source are AIBrix's, under its names and meaning."""

from __future__ import annotations

from typing import Any, Final

from kato_transport_kv_events.discovery import DiscoveryStats
from kato_transport_kv_events.index import IndexStats
from kato_transport_kv_events.index.stats import BUCKETS as MATCH_BUCKETS
from kato_transport_kv_events.index.stats import FIRST_BUCKET_NS
from kato_transport_kv_events.keeping import SnapshotStats
from kato_transport_kv_events.metrics.metric import (
    PREFIX,
    Buckets,
    Metric,
    counter,
    counters,
    doubling,
    gauge,
    gauges,
    histogram,
)
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.subscription.audience import HandlerStats
from kato_transport_kv_events.subscription.listener import ListenerStats
from kato_transport_kv_events.subscription.stats import BUCKETS, FIRST_PROCESSING_S, FIRST_REPLAY_S, SourceStats

PROCESSING_BOUNDS_S: Final = doubling(FIRST_PROCESSING_S, BUCKETS)
REPLAY_BOUNDS_S: Final = doubling(FIRST_REPLAY_S, BUCKETS)
MATCH_BOUNDS_S: Final = doubling(FIRST_BUCKET_NS / 1e9, MATCH_BUCKETS)
MATCHED_BOUNDS: Final = (0, *doubling(1, MATCH_BUCKETS))


def _state(stats: SourceStats) -> dict[str, float]:
    return {state: float(state is stats.state) for state in State}


def _ignored(stats: SourceStats) -> dict[str, float]:
    return {"overlap": stats.overlaps, "duplicate": stats.duplicates, "discarded": stats.discarded}


def _processing(stats: SourceStats) -> Buckets:
    return Buckets(PROCESSING_BOUNDS_S, stats.processing_buckets, stats.processing_seconds)


def _replays(stats: SourceStats) -> Buckets:
    return Buckets(REPLAY_BOUNDS_S, stats.replay_buckets, stats.replay_seconds)


SOURCE_LABELS: Final = ("pod", "rank")
SOURCE: Final[tuple[Metric[SourceStats], ...]] = (
    counter("connections", "Connections established.", lambda s: s.connections),
    counter("disconnections", "Connections lost.", lambda s: s.disconnections),
    counter("reconnect_attempts", "Attempts to connect again.", lambda s: s.reconnect_attempts),
    counters("events_received", "Events that came, readable or not.", "event_type", lambda s: s.events_received),
    counters("events_processed", "Events handed to the handlers.", "event_type", lambda s: s.events_processed),
    histogram("event_processing_duration_seconds", "Time to decode a batch's events and hand them on.", _processing),
    counter("missed_events", "Batches of events that are missing for good.", lambda s: s.missed_batches),
    counter("replay_requests", "Requests for a replay, probes included.", lambda s: s.replay_requests),
    counter("replay_success", "Requests answered to the end.", lambda s: s.replay_successes),
    counter("replay_failures", "Requests not answered, or not to the end.", lambda s: s.replay_failures),
    counters("errors", "Errors by category.", "error_type", lambda s: s.errors),
    gauge("connection_status", "1 while connected, else 0.", lambda s: s.is_connected),
    gauge("last_sequence_id", "Number of the last batch applied; -1 before the first.", lambda s: s.last_sequence),
    gauges("source_state", "1 for the state that the source is in.", "state", _state),
    counter("generation_resets", "Times that what the source held was given up.", lambda s: s.generation),
    counter("restarts", "Times that the engine began anew.", lambda s: s.restarts),
    counter("gaps", "Times that live numbers left some out.", lambda s: s.gaps),
    counter("gap_batches", "Batches that they left out, recovered or not.", lambda s: s.gap_batches),
    histogram("replay_duration_seconds", "Time from a request for a replay to its answer's end.", _replays),
    gauge("lag_seconds", "Age of the last batch when it was applied, by both machines' clocks.", lambda s: s.lag_s),
    counters("events_skipped", "Events that could not be read, in batches that could.", "reason", lambda s: s.events_skipped),
    gauge("live_buffer_batches", "Live batches that wait for a replay.", lambda s: s.held),
    counter("live_buffer_overflows", "Times that too many waited, and were asked for again.", lambda s: s.held_overflows),
    counter("live_batches", "Batches that came live.", lambda s: s.live_batches),
    counter("replayed_batches", "Batches that came in replays, known ones included.", lambda s: s.replayed_batches),
    counters("batches_ignored", "Live batches known already, or of an unclear connection.", "reason", _ignored),
    counter("sequence_falls", "Times that live numbers fell within a connection.", lambda s: s.falls),
)

HANDLER_LABELS: Final = ("handler", "position")
HANDLER: Final[tuple[Metric[HandlerStats], ...]] = (
    gauge("handler_queue_events", "Events that wait for a handler.", lambda s: s.queued),
    counter("handler_failures", "Times that a handler raised.", lambda s: s.failures),
    counter("handler_dropped_events", "Events that found no room in a handler's queue.", lambda s: s.dropped),
)

LISTENER_LABELS: Final = ("endpoint",)
LISTENER: Final[tuple[Metric[ListenerStats], ...]] = (
    counter("unrouted_batches", "Batches at a bound endpoint that no source asks for.", lambda s: s.unrouted),
    counter("malformed_messages", "Messages at a bound endpoint that are no batches.", lambda s: s.malformed),
)


def _match_times(stats: IndexStats) -> Buckets:
    return Buckets(MATCH_BOUNDS_S, stats.match_buckets, stats.match_seconds)


def _matched(stats: IndexStats) -> Buckets:
    return Buckets(MATCHED_BOUNDS, stats.matched_buckets, stats.matched_blocks)


INDEX: Final[tuple[Metric[IndexStats], ...]] = (
    gauge("index_sources", "Sources that the index knows.", lambda s: s.sources),
    gauge("index_blocks", "Blocks in the index, each counted once whoever has it.", lambda s: s.blocks),
    gauge("index_resident_blocks", "Blocks in the index, each counted for everyone who has it.", lambda s: s.resident),
    gauge("index_orphan_blocks", "Blocks whose parent is not known.", lambda s: s.orphans),
    gauge("index_bytes", "What the index takes, as an estimate.", lambda s: s.bytes),
    counter("index_evictions", "Blocks given up to keep to the index's bounds.", lambda s: s.evictions),
    counter("index_stored_blocks", "Blocks stored.", lambda s: s.stored),
    counter("index_removed_blocks", "Blocks removed.", lambda s: s.removed),
    counter("index_unknown_removals", "Removed blocks that were not there.", lambda s: s.unknown_removals),
    counter("index_remote_blocks", "Blocks left out, being no memory of the pod that told of them.", lambda s: s.remote),
    histogram("match_duration_seconds", "Time of a match.", _match_times),
    histogram("matched_blocks", "Leading blocks that the best pod of a match had.", _matched),
)

DISCOVERY_LABELS: Final = ("discovery",)
DISCOVERY: Final[tuple[Metric[DiscoveryStats], ...]] = (
    gauge("discovery_sources_found", "Sources that a discovery found last.", lambda s: s.wanted),
    gauge("discovery_sources_followed", "Those of them that are followed.", lambda s: s.followed),
    gauge("discovery_last_success_timestamp_seconds", "When it last found out what there is.", lambda s: s.last_success_at),
    counters("discovery_errors", "Errors of a discovery by category.", "error_type", lambda s: s.errors),
)

SNAPSHOTS: Final[tuple[Metric[SnapshotStats], ...]] = (
    counter("snapshot_saves", "Times that the index was saved.", lambda s: s.saves),
    counter("snapshot_failures", "Times that it could not be saved.", lambda s: s.failures),
    gauge("snapshot_bytes", "What was saved last comes to.", lambda s: s.bytes),
    gauge("snapshot_last_saved_timestamp_seconds", "When it was taken.", lambda s: s.saved_at_s),
)

TABLES: Final[tuple[tuple[Metric[Any], ...], ...]] = (SOURCE, HANDLER, LISTENER, INDEX, DISCOVERY, SNAPSHOTS)
NAMES: Final = tuple(PREFIX + metric.name for table in TABLES for metric in table)
"""Of all metrics; those of counters are written out with `_total` behind them."""
