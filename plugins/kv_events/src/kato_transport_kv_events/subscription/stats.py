"""What is counted of a source: plain integers while it runs, and one record of them for whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from attrs import define, field, frozen

from kato_transport_kv_events.stream import State

EVENT_TYPES: Final = ("BlockStored", "BlockRemoved", "AllBlocksCleared")
ERRORS: Final = ("connect", "frames", "decode", "rank", "replay", "handle_event")
"""Categories: a connection that cannot be made, messages that are no batches, payloads that cannot be read, batches of
another rank than the source was given, requests for a replay that cannot be made or are answered with something else, and
handlers that raise."""
SKIPS: Final = ("unknown_tag", "malformed")
BUCKETS: Final = 15
"""Of times, beside the one for what is longer than all; each reaches twice as far as the one before."""
FIRST_PROCESSING_S: Final = 10e-6
FIRST_REPLAY_S: Final = 1e-3


def _none_of(words: tuple[str, ...]) -> dict[str, int]:
    return dict.fromkeys(words, 0)


@define
class Times:
    """How often something took how long."""

    _first_s: float
    """How far the first bucket reaches."""
    counts: list[int] = field(factory=lambda: [0] * (BUCKETS + 1))
    seconds: float = 0.0
    """All of them together."""

    def add(self, seconds: float) -> None:
        self.seconds += seconds
        self.counts[min(int(seconds / self._first_s).bit_length(), BUCKETS)] += 1


@define
class Tally:
    """What the shell of one source counts."""

    connections: int = 0
    disconnections: int = 0
    reconnect_attempts: int = 0
    live_batches: int = 0
    replayed_batches: int = 0
    discarded: int = 0
    lag_s: float = 0.0
    processed: dict[str, int] = field(factory=lambda: _none_of(EVENT_TYPES))
    malformed: dict[str, int] = field(factory=lambda: _none_of(EVENT_TYPES))
    errors: dict[str, int] = field(factory=lambda: _none_of(ERRORS))
    skipped: dict[str, int] = field(factory=lambda: _none_of(SKIPS))
    processing: Times = field(factory=lambda: Times(FIRST_PROCESSING_S))
    """Of batches that were decoded and handed on."""
    replays: Times = field(factory=lambda: Times(FIRST_REPLAY_S))
    """Of answers, from the request to the end marker."""
    _failing: threading.Lock = field(factory=threading.Lock)

    def handler_failed(self) -> None:
        """On whichever thread it failed."""
        with self._failing:
            self.errors["handle_event"] += 1


@frozen(kw_only=True)
class SourceStats:
    """A source at one moment; all counts are since it was added, and only rise."""

    pod: str
    rank: int
    model: str
    endpoint: str
    """As bound, where it is."""
    state: State
    generation: int
    """Counts how often what the source held was given up."""
    is_connected: bool
    connections: int
    disconnections: int
    reconnect_attempts: int
    last_sequence: int
    """The last batch applied; -1 before the first."""
    live_batches: int
    """Batches that came over the live socket."""
    replayed_batches: int
    """Batches that came in answers of the replay socket, known ones included."""
    events_received: Mapping[str, int]
    """By type, malformed ones that say their type included."""
    events_processed: Mapping[str, int]
    """By type, decoded and handed to the handlers."""
    events_skipped: Mapping[str, int]
    """By reason: events that could not be read, in batches that could."""
    processing_buckets: tuple[int, ...]
    """Batches by how long decoding and handing on took: up to 10 µs, 20 µs, 40 µs, …, and longer than all."""
    processing_seconds: float
    missed_batches: int
    """Missing for good."""
    gaps: int
    """Times that live numbers left some out."""
    gap_batches: int
    """Batches that they left out, recovered or not."""
    restarts: int
    overlaps: int
    """Live batches that a replay had brought already."""
    duplicates: int
    falls: int
    """Times that live numbers fell within a connection."""
    discarded: int
    """Live batches thrown away, as it could not be told which connection they came over."""
    replay_requests: int
    replay_successes: int
    replay_failures: int
    replay_buckets: tuple[int, ...]
    """Answers by how long they took to their end marker: up to 1 ms, 2 ms, 4 ms, …, and longer than all."""
    replay_seconds: float
    held: int
    """Live batches that wait for a replay."""
    held_overflows: int
    lag_s: float
    """How old the last batch was when it was applied, by both machines' clocks."""
    errors: Mapping[str, int]
    """By category."""
