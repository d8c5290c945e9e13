"""Points in time that a source waits for, at most one of each kind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import Enum, auto


class Timer(Enum):
    ANSWER = auto()
    """The replay endpoint has been silent for too long."""
    RETRY = auto()
    """A round is to be asked again."""
    PROBE = auto()
    """The replay endpoint may have to be asked whether anything was missed."""
    GRACE = auto()
    """The connection has been down for too long."""
    SILENCE = auto()
    """Nothing may have been heard for too long."""


class Timers:
    def __init__(self) -> None:
        self._at: dict[Timer, float] = {}

    @property
    def due(self) -> float:
        """When the first of them passes; infinity for none."""
        return min(self._at.values(), default=math.inf)

    def set(self, timer: Timer, at: float) -> None:
        self._at[timer] = at

    def clear(self, *timers: Timer) -> None:
        for timer in timers:
            self._at.pop(timer, None)

    def passed(self, now: float) -> Iterator[Timer]:
        """Those whose time has come, taken out one by one, as what one leads to may call off another."""
        while self.due <= now:
            timer = min(self._at, key=self._at.__getitem__)
            del self._at[timer]
            yield timer
