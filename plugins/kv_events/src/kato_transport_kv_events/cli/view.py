"""What the live view shows, as rows of text: no terminal in here, and no clock."""

from __future__ import annotations

from collections import deque
from typing import Final

from attrs import define, field, frozen

from kato_transport_kv_events.subscription import SourceStats

HEADER: Final = (
    *("pod", "rank", "state", "", "last", "lag", "events/s"),
    *("gaps", "lost", "replays", "failed", "restarts", "waiting"),
)
SAMPLES: Final = 5
"""Over how many looks a speed is taken."""


@define
class Speed:
    """How fast a count rises."""

    _samples: deque[tuple[float, int]] = field(factory=lambda: deque(maxlen=SAMPLES))

    def at(self, now: float, count: int) -> float:
        """A second, over the last few looks."""
        self._samples.append((now, count))
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0


@frozen
class Row:
    """A source at one moment."""

    cells: tuple[str, ...]
    """In the order of `HEADER`."""
    events_per_s: float


class View:
    """Rows of all sources, each time somebody looks."""

    def __init__(self) -> None:
        self._speeds: dict[tuple[str, int], Speed] = {}

    def rows(self, now: float, stats: list[SourceStats]) -> list[Row]:
        self._speeds = {key: self._speeds.get(key, Speed()) for key in ((source.pod, source.rank) for source in stats)}
        return [self._row(now, source) for source in stats]

    def _row(self, now: float, source: SourceStats) -> Row:
        speed = self._speeds[source.pod, source.rank].at(now, sum(source.events_processed.values()))
        cells = (
            source.pod,
            str(source.rank),
            str(source.state),
            "●" if source.is_connected else "○",
            str(source.last_sequence),
            duration(source.lag_s),
            f"{speed:,.0f}",
            str(source.gaps),
            str(source.missed_batches),
            str(source.replay_successes),
            str(source.replay_failures),
            str(source.restarts),
            str(source.held),
        )
        return Row(cells, speed)


def duration(seconds: float) -> str:
    """In the unit that people would choose."""
    if abs(seconds) < 1:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.1f} s" if abs(seconds) < 120 else f"{seconds / 60:.0f} min"


def size(count: float) -> str:
    """Bytes in the unit that people would choose."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
