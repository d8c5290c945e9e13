"""Which of several endpoints a call goes to: the one with the least outstanding, of those that are well.

An endpoint whose breaker is not closed gets no calls but probes, and nobody waits for those: where a probe is due, the next
call is it, or an endpoint that has recovered would stay out for as long as the others manage alone.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

from kato_transport.protocol.breaker import CLOSED, HALF_OPEN, Breaker


class Alone:
    """The balance of a single endpoint: nothing to choose, and nothing to count for that."""

    outstanding: Sequence[int] = (0,)

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def pick(self, now: float, avoid: Collection[int] = ()) -> int | None:
        """As `Balance.pick`."""
        breaker = self._breaker
        return 0 if not avoid and (breaker.state is CLOSED or breaker.admits(now)) else None

    def started(self, index: int) -> None:
        """Nothing to be counted."""

    def ended(self, index: int) -> None:
        """Nothing to be counted."""


class Balance:
    """Endpoints by index, one for each breaker; `outstanding` counts the calls that each is working on.

    Safe to be used from several threads: one lock, under which nothing but the breakers' is taken.
    """

    def __init__(self, breakers: Sequence[Breaker]) -> None:
        self.outstanding = [0] * len(breakers)
        self._breakers = tuple(breakers)
        self._turns = list(range(len(breakers)))  # the one picked last stands last
        self._lock = threading.Lock()

    def pick(self, now: float, avoid: Collection[int] = ()) -> int | None:
        """Where the next call goes, leaving out `avoid`: where it went before, say. None where no breaker admits it.

        A probe that is due goes first, but only one at a time while others are well. Equals take turns.
        """
        with self._lock:
            index = self._best(now, avoid)
            while index is not None and not self._breakers[index].admits(now):
                avoid = {*avoid, index}  # it was well a moment ago
                index = self._best(now, avoid)
            if index is not None:
                self._turns.remove(index)
                self._turns.append(index)
            return index

    def started(self, index: int) -> None:
        """A call went to that endpoint."""
        with self._lock:
            self.outstanding[index] += 1

    def ended(self, index: int) -> None:
        """A call that `started` there is over, however it ended."""
        with self._lock:
            self.outstanding[index] -= 1

    def _best(self, now: float, avoid: Collection[int]) -> int | None:
        well, due, probing = None, None, False
        for index in self._turns:
            breaker = self._breakers[index]
            if breaker.state is CLOSED:
                if index not in avoid and (well is None or self.outstanding[index] < self.outstanding[well]):
                    well = index
            elif breaker.ready_in(now) > 0:
                probing = probing or breaker.state is HALF_OPEN
            elif index not in avoid and (due is None or self.outstanding[index] < self.outstanding[due]):
                due = index
        return well if due is None or (probing and well is not None) else due
