"""What processes weigh, over time: a bounded number of samples of each, and the slope of its last life."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Mapping
from typing import Any, Final

from attrs import Factory, define

MOST_SAMPLES: Final = 400
LEAST_FOR_A_SLOPE: Final = 10
MIB: Final = 1024 * 1024


@define
class Curve:
    """One process's weight; `lives` counts how often another process took its place."""

    pid: int
    lives: int = 1
    most: int = 0
    samples: list[tuple[float, int]] = Factory(list)
    every: int = 1
    """So many samples are passed over for each that is kept: doubled whenever there are too many."""
    _seen: int = 0

    def add(self, pid: int, now: float, weight: int) -> None:
        if pid != self.pid:
            self.pid, self.lives, self.samples, self.every, self._seen = pid, self.lives + 1, [], 1, 0
        self.most = max(self.most, weight)
        if self._seen % self.every == 0:
            self.samples.append((now, weight))
        self._seen += 1
        if len(self.samples) > MOST_SAMPLES:
            self.samples, self.every = self.samples[::2], 2 * self.every

    def slope_per_minute(self) -> float | None:
        """Bytes, by least squares over the last two thirds of the last life; None where there is too little to tell."""
        later = self.samples[len(self.samples) // 3 :]
        if len(later) < LEAST_FOR_A_SLOPE:
            return None
        return 60 * statistics.linear_regression(*zip(*later, strict=True)).slope


class Scales:
    """Weighs processes by name."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._curves: dict[str, Curve] = {}

    def weigh(self, pids: Mapping[str, int]) -> None:
        now = time.monotonic() - self._started
        for name, pid in pids.items():
            weight = _resident_bytes(pid)
            if weight:
                self._curves.setdefault(name, Curve(pid)).add(pid, now, weight)

    def figures(self) -> dict[str, dict[str, Any]]:
        """In MiB; seconds since the beginning."""
        return {name: _figures(curve) for name, curve in self._curves.items()}


def _figures(curve: Curve) -> dict[str, Any]:
    slope = curve.slope_per_minute()
    return {
        "lives": curve.lives,
        "first_mib": round(curve.samples[0][1] / MIB, 1),
        "last_mib": round(curve.samples[-1][1] / MIB, 1),
        "most_mib": round(curve.most / MIB, 1),
        "slope_mib_per_minute": None if slope is None else round(slope / MIB, 3),
        "samples": [(round(at, 1), round(weight / MIB, 1)) for at, weight in curve.samples],
    }


def _resident_bytes(pid: int) -> int:
    """0 where it cannot be told: the process is gone, or this is no Linux."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
