"""Whether a peer is still there: the Paranoid Pirate's rule, seen from one side.

After `interval_s` of silence a sign of life is asked for; after `liveness` intervals without any the peer counts as lost.
Everything it sends is a sign of life. Silence is counted in questions left unanswered, as in the Guide, and not in time:
whoever was held up itself (a stopped process, a suspended machine) has asked nothing meanwhile, and knows nothing of the
peer. Source: the ZeroMQ Guide, chapter 4, "Heartbeating".
"""

from __future__ import annotations


class Liveness:
    """`interval_s` of 0 turns it off: nothing is ever due and nobody is ever lost."""

    def __init__(self, interval_s: float, liveness: int, now: float) -> None:
        self._interval_s = interval_s
        self._enough = max(1, liveness - 1)  # the first interval of silence ends in the first question
        self._heard = now
        self._asked = now
        self._unanswered = 0

    def heard(self, now: float) -> None:
        """The peer sent something."""
        self._heard = self._asked = now
        self._unanswered = 0

    def heartbeat_due(self, now: float) -> bool:
        """Whether to ask for a sign of life now; saying so counts as asked."""
        if not self._interval_s or now < self._asked + self._interval_s:
            return False
        self._asked = now
        self._unanswered += 1
        return True

    def lost(self, now: float) -> bool:
        """Whether enough questions have been left unanswered, each of them for an interval."""
        still_open = now < self._asked + self._interval_s
        return self._unanswered - still_open >= self._enough

    def silent_for(self, now: float) -> float:
        """Seconds since the last sign of life."""
        return now - self._heard


class Peers:
    """A server's clients by identity, with when they were last heard; at most `limit`, the longest silent go first."""

    def __init__(self, interval_s: float, liveness: int, limit: int = 10_000) -> None:
        self._silence_s = interval_s * liveness
        self._limit = limit
        self._last_seen: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._last_seen)

    def heard(self, identity: bytes, now: float) -> None:
        self._last_seen.pop(identity, None)  # so that the dict stays in the order of last signs of life
        self._last_seen[identity] = now
        if len(self._last_seen) > self._limit:
            del self._last_seen[next(iter(self._last_seen))]

    def forget_silent(self, now: float) -> int:
        """Forget who has been silent for all of its liveness; how many that were."""
        if not self._silence_s:
            return 0
        silent = []
        for identity, seen in self._last_seen.items():
            if seen + self._silence_s > now:
                break
            silent.append(identity)
        for identity in silent:
            del self._last_seen[identity]
        return len(silent)
