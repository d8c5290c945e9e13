"""Which answer belongs to which request.

A correlation id is 16 bytes: an 8-byte prefix of the client and an 8-byte counter. A server echoes it untouched, so an
answer that comes late finds nobody waiting and is dropped, instead of going to the next call.
"""

from __future__ import annotations

import itertools
import os
from typing import Generic, TypeVar

W = TypeVar("W")

ID_BYTES = 16


class CorrelationIds:
    """Ids that no other client and no earlier call has."""

    def __init__(self, prefix: bytes | None = None) -> None:
        self.prefix = os.urandom(8) if prefix is None else prefix
        self._counter = itertools.count(1)

    def next(self) -> bytes:
        return self.prefix + next(self._counter).to_bytes(8, "big")


class InFlight(Generic[W]):
    """The requests that wait for an answer, each with its waiter and its deadline (monotonic seconds)."""

    def __init__(self) -> None:
        self._waiters: dict[bytes, tuple[float, W]] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, correlation: bytes, deadline: float, waiter: W) -> None:
        self._waiters[correlation] = (deadline, waiter)

    def answered(self, correlation: bytes) -> W | None:
        """The waiter of an answer, taken out; None for an answer that nobody waits for: late, repeated, or invented."""
        found = self._waiters.pop(correlation, None)
        return None if found is None else found[1]

    def expired(self, now: float) -> list[W]:
        """The waiters whose time has passed, taken out."""
        late = [correlation for correlation, (deadline, _) in self._waiters.items() if deadline <= now]
        return [self._waiters.pop(correlation)[1] for correlation in late]

    def abandoned(self) -> list[W]:
        """All waiters, taken out: no answer can come any more."""
        waiters = [waiter for _, waiter in self._waiters.values()]
        self._waiters.clear()
        return waiters
