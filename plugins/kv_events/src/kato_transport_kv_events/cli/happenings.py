"""What happens to sources, a map for each thing: events, states, gaps, replays; for lines of JSON and for the live view.

Prompts are left out: what an event says of its tokens, its salt and its extra keys.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from kato_transport.events import KVEvent
from kato_transport_kv_events.cli.lines import own_fields

if TYPE_CHECKING:
    from kato_transport_kv_events.stream import State
    from kato_transport_kv_events.subscription import KVEventManager, SourceStats

PRIVATE: Final = frozenset({"token_ids", "lookahead_token_ids", "extra_keys", "cache_salt"})
LOOK_S: Final = 0.2
"""How often gaps and replays are looked for."""
Happening = dict[str, Any]
Tell = Callable[[Happening], None]


class Listening:
    """A handler that tells of states, and of events if they are wanted."""

    def __init__(self, tell: Tell, *, events: bool) -> None:
        self._tell = tell
        self._events = events

    def handle_event(self, event: KVEvent) -> None:
        if self._events:
            origin = event.origin
            head = _head(type(event).__name__, origin.pod, origin.rank, origin.timestamp_s)
            self._tell({**head, "sequence": origin.sequence, "topic": origin.topic, **own_fields(event, PRIVATE)})

    def forget(self, pod: str, rank: int) -> None:
        self._tell(_head("forgotten", pod, rank))

    def source_changed(self, pod: str, rank: int, model: str, state: State) -> None:
        self._tell({**_head("state", pod, rank), "model": model, "state": str(state)})

    def source_removed(self, pod: str, rank: int) -> None:
        self._tell(_head("removed", pod, rank))


class Progress:
    """Gaps and replays, found by comparing what is counted now with what was counted before."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, int], SourceStats] = {}

    def since_last(self, stats: list[SourceStats]) -> Iterator[Happening]:
        before, self._before = self._before, {(now.pod, now.rank): now for now in stats}
        for key, now in self._before.items():
            then = before.get(key)
            yield from _gaps(then, now)
            yield from _replays(then, now)


def tell_of_progress(manager: KVEventManager, tell: Tell, stop: threading.Event) -> None:
    """Tell of gaps and replays until something stops it."""
    progress = Progress()
    while not stop.wait(LOOK_S):
        for happening in progress.since_last(manager.stats()):
            tell(happening)


def _gaps(then: SourceStats | None, now: SourceStats) -> Iterator[Happening]:
    gaps, batches, lost = (_rise(then, now, name) for name in ("gaps", "gap_batches", "missed_batches"))
    if gaps or lost:
        yield {**_head("gap", now.pod, now.rank), "gaps": gaps, "batches": batches, "lost": lost}


def _replays(then: SourceStats | None, now: SourceStats) -> Iterator[Happening]:
    """Those that brought something or failed; a probe brings the last batch and nothing else."""
    names = ("replay_requests", "replay_successes", "replay_failures", "replayed_batches")
    requests, answered, failed, batches = (_rise(then, now, name) for name in names)
    if failed or batches > answered:
        found = {"requests": requests, "answered": answered, "failed": failed, "batches": batches}
        yield {**_head("replay", now.pod, now.rank), **found}


def _rise(then: SourceStats | None, now: SourceStats, name: str) -> int:
    """By how much a count is higher; one that is lower belongs to a source that was removed and added again."""
    before, after = int(getattr(then, name, 0)), int(getattr(now, name))
    return after - before if after >= before else after


def _head(kind: str, pod: str, rank: int, ts: float | None = None) -> Happening:
    return {"type": kind, "pod": pod, "rank": rank, "ts": time.time() if ts is None else ts}
