"""What live numbers tell by themselves: the next, a gap, an overlap, a repetition, a fall.

The first of the three layers of the state machine; `catching_up` adds the replay endpoint, `machine` facts and time.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from kato_transport_kv_events.stream.actions import Action, Reason
from kato_transport_kv_events.stream.anchor import Anchor
from kato_transport_kv_events.stream.counts import Counts
from kato_transport_kv_events.stream.endpoint import Endpoint
from kato_transport_kv_events.stream.held import Held
from kato_transport_kv_events.stream.life import Checkpoint, Life
from kato_transport_kv_events.stream.settings import StreamSettings
from kato_transport_kv_events.stream.timers import Timer, Timers
from kato_transport_kv_events.stream.trust import Trust

SECOND_LOOK_S = (0.3, 1.0)
"""When to ask once more after something that may have been too early to show all."""


class Link(Enum):
    """The live connection."""

    NEW = auto()
    UP = auto()
    DOWN = auto()


class LiveNumbers(ABC):
    """The batches of the live socket, in the order in which they come."""

    def __init__(
        self, settings: StreamSettings, has_replay: bool, restored: Checkpoint | None, jitter: Callable[[], float]
    ) -> None:
        self.counts = Counts()
        self._settings = settings
        self._jitter = jitter
        self._actions: deque[Action] = deque()
        self._trust = Trust(restored.complete, restored.sound) if restored else Trust()
        self._life = Life(self._actions.append, self.counts, settings.policy, restored)
        self._endpoint = Endpoint(has_replay, settings.longest_back_off_s)
        self._held = Held(settings.held_batches, settings.held_bytes)
        self._timers = Timers()
        self._link = Link.NEW
        self._heard_at = -math.inf
        """When the last live batch came."""
        self._live = -1
        """The last live number of this connection; numbers only rise within one."""
        self._syncing = False
        """Whether live batches wait for the replay endpoint."""
        self._overflowed = False
        self._doubt = restored is not None
        """Whether the engine may be in another life than the one that what is held came from."""
        self._adrift = False
        """Whether nothing could resolve the doubt, so that the next live number has to."""
        self._stale = False
        self._joined = False
        """Whether a batch that came live was met in an answer, so that both sockets are one engine's."""
        self._unchecked: Anchor | None = None
        """A live batch that a replay had brought already, of which nobody knows whether it was the same."""

    @abstractmethod
    def _ask(self, now: float) -> None:
        """Have live batches wait, and ask the replay endpoint what was missed."""

    @abstractmethod
    def _fell(self, now: float) -> None:
        """Live numbers fell; find out whether it is another life."""

    def _take(self, now: float, sequence: int, payload: bytes) -> None:
        """A live batch that does not have to wait."""
        if sequence <= self._live:
            self._repeated_or_fallen(now, sequence, payload, self._life.payload if sequence == self._life.last else None)
            return
        self._live = sequence
        if self._adrift:
            self._adrift = False
            if sequence <= self._life.last:
                self._restart()
        if sequence < self._life.next:
            self._overlapped(now, sequence, payload)
        elif sequence > self._life.next and self._endpoint.relied_upon:
            self._notice_gap(sequence)
            self._held.add(sequence, payload)
            self._ask(now)
        else:
            self._apply_live(now, sequence, payload)

    def _hold(self, now: float, sequence: int, payload: bytes) -> None:
        """A live batch that has to wait."""
        if sequence <= self._live:
            self._repeated_or_fallen(now, sequence, payload, self._held.get(sequence))
            return
        self._live = sequence
        if not self._held.add(sequence, payload):
            self._held.clear()
            self._overflowed = True
            self.counts.overflows += 1

    def _apply_live(self, now: float, sequence: int, payload: bytes) -> None:
        if sequence > self._life.next:
            self._notice_gap(sequence)
            self._life.lose_through(sequence - 1)
        self._life.apply(sequence, payload)
        if self._stale:
            self._stale = False
            self._watch_silence(now)

    def _notice_gap(self, sequence: int) -> None:
        self.counts.gaps += 1
        self.counts.gap_batches += sequence - self._life.next

    def _repeated_or_fallen(self, now: float, sequence: int, payload: bytes, known: bytes | None) -> None:
        if payload == known:
            self.counts.duplicates += 1
            return
        self.counts.falls += 1
        self._held.clear()
        if self._endpoint.relied_upon:
            self._live = sequence
            self._held.add(sequence, payload)
            self._doubt = True
            self._fell(now)
        else:
            self._restart()
            self._live = -1
            self._take(now, sequence, payload)

    def _overlapped(self, now: float, sequence: int, payload: bytes) -> None:
        self.counts.overlaps += 1
        if self._endpoint.relied_upon and not self._joined and self._unchecked is None:
            self._unchecked = Anchor(sequence, payload)
            self._timers.set(Timer.PROBE, now + self._soon_s())

    def _restart(self) -> None:
        """The engine began anew: nothing of what the source held is there any more."""
        self.counts.restarts += 1
        self._life.end(Reason.RESTARTED)
        self._joined = self._stale = False
        self._unchecked = None

    def _watch_silence(self, now: float) -> None:
        if self._settings.silence_limit_s:
            self._timers.set(Timer.SILENCE, now + self._settings.silence_limit_s)

    def _soon_s(self) -> float:
        least, most = SECOND_LOOK_S
        return least + (most - least) * self._jitter()

    def _jittered(self, wait_s: float) -> float:
        return wait_s * (0.8 + 0.4 * self._jitter())
