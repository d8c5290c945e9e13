"""Whether to bother a peer that keeps failing: a circuit breaker.

Closed, every call goes out. After `failures` in a row it opens: for a while none does, so that callers fail at once instead
of waiting for a peer that is not there. Then, half-open, one probe goes out. Any answer closes it; a failure opens it again,
for twice as long, up to `longest_open_s`. Source: Nygard, "Release It!", "Circuit Breaker".
"""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import Final


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


# Named here too, as `BreakerState.CLOSED` is ten times slower to look up in Python 3.11.
CLOSED: Final = BreakerState.CLOSED
OPEN: Final = BreakerState.OPEN
HALF_OPEN: Final = BreakerState.HALF_OPEN


class Breaker:
    """One peer's; `failures` of 0 turns it off: it never opens.

    `state` may be read at any time; `opened` counts how often it opened. Safe to be used from several threads: one lock for
    whatever may change it. As long as the peer has not failed, nothing does, and calls and answers take none.
    """

    def __init__(self, failures: int = 5, open_s: float = 0.25, longest_open_s: float = 5.0) -> None:
        self.state: BreakerState = CLOSED
        self.opened = 0
        self._limit = failures
        self._open_s = open_s
        self._longest_open_s = longest_open_s
        self._failures = 0  # 0 only while closed
        self._next_open_s = open_s
        self._ready_at = 0.0  # of no meaning while closed
        self._lock = threading.Lock()

    def admits(self, now: float) -> bool:
        """Whether a call may go out; while not closed, a yes is the one probe, and counts as sent.

        A probe that nobody reports on blocks the next for `open_s` only: its caller may have gone away.
        """
        if not self._failures:
            return True
        with self._lock:
            if self.state is CLOSED:
                return True
            if now < self._ready_at:
                return False
            self._ready_at = now + self._open_s
            self.state = HALF_OPEN
            return True

    def ready_in(self, now: float) -> float:
        """Seconds until `admits` may say yes, as far as is known now; 0 where it may at once."""
        return 0.0 if self.state is CLOSED else max(0.0, self._ready_at - now)

    def succeeded(self) -> None:
        """The peer answered something, if only an error: it is there."""
        if not self._failures:
            return
        with self._lock:
            self.state = CLOSED
            self._failures = 0
            self._next_open_s = self._open_s

    def failed(self, now: float) -> None:
        """A call ended without an answer, for which the peer is to blame."""
        with self._lock:
            if not self._limit or self.state is OPEN:  # a call from before it opened tells nothing new
                return
            self._failures += 1
            if self._failures < self._limit:
                return
            self._ready_at = now + self._next_open_s  # before the state, for `ready_in` takes no lock
            self._next_open_s = min(2 * self._next_open_s, self._longest_open_s)
            self.state = OPEN
            self.opened += 1
