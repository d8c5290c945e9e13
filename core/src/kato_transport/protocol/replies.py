"""What a server remembers so that it runs nothing twice: the answers it gave, and the requests it is working on.

A repeated request gets the answer that is kept, or waits for the one that is on its way. Memory ends, so answers are let go,
the oldest first. Of those that are gone one number is remembered for each client, the highest: requests are numbered as
they are made, so a higher one has never been let go, and a lower one may have been.
"""

from __future__ import annotations

import threading
from collections import deque
from enum import Enum
from typing import Final, Generic, TypeVar

A = TypeVar("A")
W = TypeVar("W")

MAX_WAITERS = 16
"""Of one request: no client repeats it that often."""

MAX_CLIENTS = 10_000
"""Clients whose highest number is remembered; beyond, the one whose answers were let go the longest ago is forgotten."""


class Verdict(Enum):
    RUN = "run"
    """Nothing was known of it: run it."""
    WAIT = "wait"
    """It is being run: the waiter gets that answer."""
    FORGOTTEN = "forgotten"
    """It may have run, and nobody can tell any more."""
    CROWDED = "crowded"
    """It is being run, and too many wait for the answer already."""


# Named here too, as `Verdict.RUN` is ten times slower to look up in Python 3.11.
RUN: Final = Verdict.RUN
WAIT: Final = Verdict.WAIT
FORGOTTEN: Final = Verdict.FORGOTTEN
CROWDED: Final = Verdict.CROWDED


class Replies(Generic[A, W]):
    """What was answered, and what is being worked on, by key; the answers are bounded in number, bytes and age.

    A key reads `CLIENT.NUMBER`, the number in hexadecimal digits and higher for each further request of that client.
    Requests under way are never let go; whoever queues them bounds their number. `repeats` counts those that were answered
    from here or joined another, `evicted` the answers let go. Safe to be used from several threads: one lock.
    """

    def __init__(self, max_entries: int = 10_000, max_bytes: int = 64 * 1024 * 1024, max_age_s: float = 300.0) -> None:
        self.repeats = 0
        self.evicted = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._under_way: dict[str, list[W]] = {}  # who waits
        self._answers: dict[str, A] = {}
        self._oldest_first: deque[tuple[str, int, float]] = deque()  # key, size, when it was answered
        self._bytes = 0
        self._gone: dict[str, int] = {}  # the highest number let go, by client
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Answers kept and requests under way."""
        return len(self._answers) + len(self._under_way)

    @property
    def bytes(self) -> int:
        """What the answers kept come to."""
        return self._bytes

    def begin(self, key: str, waiter: W) -> Verdict | A:
        """What is to be done with a request: a verdict, or the answer it was given before.

        The waiter is kept with `RUN` and `WAIT`; the run has to end in `settle` or `release`.
        """
        with self._lock:
            if key in self._answers:
                self.repeats += 1
                return self._answers[key]
            waiters = self._under_way.get(key)
            if waiters is not None:
                return self._join(waiters, waiter)
            if self._gone and self._may_be_gone(key):
                return FORGOTTEN
            self._under_way[key] = [waiter]
            return RUN

    def settle(self, key: str, answer: A, size: int, now: float) -> list[W]:
        """The run has ended: keep its answer, which came to `size` bytes. All who wait for it, the first one first."""
        with self._lock:
            waiters = self._under_way.pop(key)
            if size > self._max_bytes:  # or everything else would go to make room for it, in vain
                self._let_go(key)
                return waiters
            self._answers[key] = answer
            self._oldest_first.append((key, size, now))
            self._bytes += size
            oldest = self._oldest_first
            while oldest and (
                self._bytes > self._max_bytes or len(oldest) > self._max_entries or oldest[0][2] + self._max_age_s <= now
            ):
                self._evict()
            return waiters

    def release(self, key: str) -> list[W]:
        """It was not run, or may well run again: know nothing of it. All who wait for it, the first one first."""
        with self._lock:
            return self._under_way.pop(key)

    def _join(self, waiters: list[W], waiter: W) -> Verdict:
        if len(waiters) == MAX_WAITERS:
            return CROWDED
        self.repeats += 1
        waiters.append(waiter)
        return WAIT

    def _may_be_gone(self, key: str) -> bool:
        client, _, number = key.rpartition(".")
        return int(number, 16) <= self._gone.get(client, -1)

    def _evict(self) -> None:
        key, size, _ = self._oldest_first.popleft()
        del self._answers[key]
        self._bytes -= size
        self._let_go(key)

    def _let_go(self, key: str) -> None:
        self.evicted += 1
        client, _, number = key.rpartition(".")
        self._gone[client] = max(int(number, 16), self._gone.pop(client, -1))  # taken out first: the dict stays in order
        if len(self._gone) > MAX_CLIENTS:
            del self._gone[next(iter(self._gone))]
