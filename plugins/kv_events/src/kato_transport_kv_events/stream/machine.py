"""The state machine of one source: facts and `now` go in, actions come out; it knows no socket, thread or clock.

Live batches are applied as they come as long as each is the next. Whatever casts doubt on that (a start, a gap, a new
connection, numbers that fall) makes live batches wait, bounded, while the replay endpoint is asked for everything from the
last applied batch on. Its answer begins with that very batch if the engine's life is still the same (`anchor`), brings what
was missed, and meets the batches that wait. Where there is no answer, live numbers alone decide, and what they cannot
prove is not claimed (`trust`).

The shell owes three things. It does the `actions` in order, each before it takes the next, reporting what was wrong with
a batch before it goes on. A batch that it tells of between `connected` and `disconnected` came over that very connection,
which it knows by looking at the socket's monitor after it received the batch and before it tells of it. And it tells of an
answer's end only after the live batches that were there to be read before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from kato_transport_kv_events.stream.actions import Action
from kato_transport_kv_events.stream.catching_up import CatchingUp
from kato_transport_kv_events.stream.life import Checkpoint
from kato_transport_kv_events.stream.live_numbers import Link
from kato_transport_kv_events.stream.settings import StreamSettings
from kato_transport_kv_events.stream.timers import Timer
from kato_transport_kv_events.stream.trust import Flaw, State


class SourceStream(CatchingUp):
    """One source, from its making on; methods tell it facts, properties say what it makes of them."""

    def __init__(
        self,
        settings: StreamSettings,
        *,
        has_replay: bool,
        restored: Checkpoint | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(settings, has_replay, restored, jitter)
        self._heard = False
        """Whether anything came on either socket."""
        self._armed = -1
        """The live number that can be applied without a thought."""
        self._on_time: dict[Timer, Callable[[float], None]] = {
            Timer.ANSWER: self._unanswered,
            Timer.RETRY: self._ask,
            Timer.PROBE: self._probe,
            Timer.GRACE: self._down_too_long,
            Timer.SILENCE: self._silent,
        }

    # --- what it says -------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Follows from the facts told and the actions done so far."""
        if self._link is Link.NEW and not self._heard:
            return State.CONNECTING
        if self._stale:
            return State.STALE
        return State.SYNCING if self._syncing else self._trust.state()

    @property
    def due(self) -> float:
        """When `tick` has something to do; infinity for never."""
        return self._timers.due

    @property
    def last(self) -> int:
        """The last batch applied; -1 before the first."""
        return self._life.last

    @property
    def held(self) -> int:
        """Live batches that wait."""
        return len(self._held)

    @property
    def is_connected(self) -> bool:
        return self._link is Link.UP

    def checkpoint(self) -> Checkpoint | None:
        """What a snapshot has to keep, to be confirmed when it is restored; None before the first batch."""
        anchor, trust = self._life.anchor, self._trust
        if anchor is None:
            return None
        return Checkpoint(sequence=anchor.sequence, digest=anchor.fingerprint(), complete=trust.complete, sound=trust.sound)

    def actions(self) -> Iterator[Action]:
        """What is to be done, taken out one by one; each has to be done before the next is taken."""
        while self._actions:
            action = self._actions.popleft()
            self._trust.follow(action)
            yield action

    # --- the live socket ----------------------------------------------------------------------------------------

    def accepts(self, now: float, sequence: int, payload: bytes) -> bool:
        """Whether a live batch is simply the next one: it is to be applied at once, and counts as applied.

        Where not, `live` has to be told of it.
        """
        if sequence != self._armed:
            return False
        self._armed = sequence + 1
        self._heard_at = now
        self._live = self._life.last = sequence
        self._life.payload = payload
        return True

    def live(self, now: float, sequence: int, payload: bytes) -> None:
        """A live batch came that `accepts` did not take."""
        if self._link is not Link.UP:  # a socket without a handshake to tell of
            self.connected(now)
        self._heard = True
        self._heard_at = now
        if self._syncing:
            self._hold(now, sequence, payload)
        else:
            self._take(now, sequence, payload)
        self._arm()

    def awaits_connection(self, now: float) -> None:
        """The live socket waits to be connected to, and nothing may ever tell that it was: ask at once.

        To be told at the beginning, and after each `disconnected`.
        """
        self._begin_anew()
        if self._endpoint.relied_upon:
            self._ask(now, hold=self._syncing or self._link is Link.NEW)
        elif self._endpoint.worth_asking:
            self._schedule_probe_after_none(now)

    def connected(self, now: float) -> None:
        """A handshake on the live socket succeeded; nothing that is told of from now on came before it."""
        self._doubt = self._doubt or self._link is not Link.NEW or self._heard
        self._link = Link.UP
        self._begin_anew()
        self._second_look = True
        self._timers.clear(Timer.GRACE)
        self._watch_silence(now)
        if self._endpoint.relied_upon:
            self._ask(now)
        else:
            self._stale = False
            self._go_on_without(now)
            if self._endpoint.worth_asking:
                self._timers.set(Timer.PROBE, now + self._soon_s())
        self._arm()

    def disconnected(self, now: float) -> None:
        """The live connection is gone, and everything that came over it has been told of."""
        if self._link is not Link.UP:
            return
        self._link = Link.DOWN
        self._timers.clear(Timer.RETRY, Timer.PROBE, Timer.SILENCE)
        self._timers.set(Timer.GRACE, now + self._settings.grace_s)
        self._quit()
        self._arm()

    # --- the replay socket --------------------------------------------------------------------------------------

    def asked(self, now: float) -> None:
        """The request of the last `Ask` is on its way."""
        if self._round is not None:
            self._asked_at = now
            self._timers.set(Timer.ANSWER, now + self._settings.answer_timeout_s)

    def replayed(self, now: float, sequence: int, payload: bytes) -> None:
        """A batch of the answer came."""
        if self._round is None:
            return
        self._heard = True
        self._endpoint.heard(batch=True)
        self._timers.set(Timer.ANSWER, now + self._settings.answer_timeout_s)
        self._read(now, self._round, sequence, payload)
        self._arm()

    def replay_ended(self, now: float) -> None:
        """The answer's end marker came."""
        if self._round is None:
            return
        current, self._round = self._round, None
        self._heard = True
        self._attempts = 0
        self._endpoint.heard(batch=False)
        self._timers.clear(Timer.ANSWER)
        self.counts.answers += 1
        self._close(now, current)
        self._arm()

    def replay_failed(self, now: float) -> None:
        """The request of the last `Ask` could not be made."""
        self._unanswered(now)
        self._arm()

    # --- time, and what the shell found in the batches ----------------------------------------------------------

    def tick(self, now: float) -> None:
        """Time has passed."""
        for timer in self._timers.passed(now):
            self._on_time[timer](now)
        self._arm()

    def flawed(self, flaw: Flaw) -> None:
        """Something was wrong with the batch just applied."""
        self._trust.flawed(flaw)

    def cleared(self) -> None:
        """The batch just applied said that the engine's cache is empty."""
        self._trust.cleared()

    def _begin_anew(self) -> None:
        """Whatever came over a former connection says nothing about what comes now."""
        self._live = -1
        self._held.clear()
        self._joined = False
        self._unchecked = None
        self._attempts = 0
        self._endpoint.reconnected()

    def _down_too_long(self, now: float) -> None:
        self._stale = True

    def _silent(self, now: float) -> None:
        """Has been so for the limit, or will be."""
        at = self._heard_at + self._settings.silence_limit_s
        if at <= now:
            self._stale = True
        else:
            self._timers.set(Timer.SILENCE, at)

    def _arm(self) -> None:
        ready = self._link is Link.UP and self._life.filled and not (self._syncing or self._stale or self._adrift)
        self._armed = self._life.next if ready else -1
