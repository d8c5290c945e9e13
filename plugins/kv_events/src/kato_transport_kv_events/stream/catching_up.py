"""What the replay endpoint's answers tell: the same life or another, what was missed, and whether live batches go on behind.

The second of the three layers of the state machine. A round is one request and its answer. Rounds follow each other for
as long as they bring something; what an answer does not have, and a second one does not have either, is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from kato_transport_kv_events.stream.actions import Ask, Note, Quit, Reason
from kato_transport_kv_events.stream.life import Checkpoint
from kato_transport_kv_events.stream.live_numbers import Link, LiveNumbers
from kato_transport_kv_events.stream.rounds import Ending, Finding, Round
from kato_transport_kv_events.stream.settings import Policy, StreamSettings
from kato_transport_kv_events.stream.timers import Timer
from kato_transport_kv_events.stream.trust import State

UNANSWERED = 2
"""Unanswered requests in a row after which an engine that says nothing counts as hung."""
NOWHERE = -2


class CatchingUp(LiveNumbers):
    """Asks, reads answers, and says when live batches do not have to wait any longer."""

    def __init__(
        self, settings: StreamSettings, has_replay: bool, restored: Checkpoint | None, jitter: Callable[[], float]
    ) -> None:
        super().__init__(settings, has_replay, restored, jitter)
        self._round: Round | None = None
        self._asked_at = 0.0
        self._attempts = 0
        self._stuck_at = NOWHERE
        """The last applied batch when an answer had a hole behind it."""
        self._resync_due = restored is not None
        """Whether what is missing may be missing only because the replay endpoint did not answer at the time."""
        self._second_look = False
        """Whether the next probe is to come soon: batches may have been sent before the publisher read the subscription."""
        self._quiet_s = settings.probe_interval_s

    @property
    def _may_be_another(self) -> bool:
        """Whether the engine may be in another life: nothing vouches for it but a live connection since the last answer."""
        return self._doubt or self._adrift or self._link is not Link.UP

    # --- asking -------------------------------------------------------------------------------------------------

    def _ask(self, now: float, *, hold: bool = True) -> None:
        """Ask from the last batch on, or from the beginning."""
        marks = [mark for mark in (self._life.anchor, self._unchecked) if mark is not None]
        start = min((mark.sequence for mark in marks), default=0)
        came_live = self._unchecked is not None or self._life.last > self._life.replayed_to
        self._open(now, Round(start, marks, self._held.newest, came_live=came_live), hold)

    def _ask_for_everything(self, now: float) -> None:
        anchor = self._life.anchor
        self._open(now, Round(0, [anchor] if anchor else [], self._held.newest, resync=True), True)

    def _open(self, now: float, current: Round, hold: bool) -> None:
        self._round = current
        self._syncing = hold
        self._overflowed = False
        self._asked_at = now
        self._timers.clear(Timer.ANSWER, Timer.RETRY, Timer.PROBE)
        self.counts.requests += 1
        self._actions.append(Ask(current.start))

    def _quit(self) -> None:
        if self._round is not None:
            self._round = None
            self._timers.clear(Timer.ANSWER)
            self._actions.append(Quit())

    def _fell(self, now: float) -> None:
        if self._round is not None and self._syncing:
            self._round.again = True
        else:
            self._ask(now)

    # --- an answer, frame by frame ------------------------------------------------------------------------------

    def _read(self, now: float, current: Round, sequence: int, payload: bytes) -> None:
        held = self._held.get(sequence)
        if held is not None and held != payload:  # either an earlier life's, or the endpoint is another engine's
            self._held.drop_through(sequence)
            self._restarted(now, expected=False)
            return
        self._joined = self._joined or held is not None
        if current.resync and not current.begun:
            self._start_over_if_further_back(sequence)
        match current.read(sequence, payload):
            case Finding.CONFIRMED:
                self._confirmed(current, sequence, payload)
                self._apply_replayed(current, sequence, payload)
            case Finding.NEXT:
                self._apply_replayed(current, sequence, payload)
            case Finding.LATER:
                self._apply_later(current, sequence, payload)
            case Finding.HOLE if self._stuck_at == self._life.last and not current.news:
                current.skip_to(sequence)
                self._apply_later(current, sequence, payload)
            case Finding.RESTARTED:
                self._restarted(now, expected=self._may_be_another)
            case Finding.HOLE | Finding.REPEATED:
                pass

    def _confirmed(self, current: Round, sequence: int, payload: bytes) -> None:
        """The engine's life is the same."""
        self._stale = self._adrift = False
        if current.came_live:
            self._joined = True
            self._unchecked = None
            self._endpoint.agreed()
        if sequence == self._life.last:
            self._life.seen(payload)

    def _apply_replayed(self, current: Round, sequence: int, payload: bytes) -> None:
        """What was not applied before; what comes behind a batch that is known leaves nothing out."""
        if sequence >= self._life.next:
            current.news += 1
            self._life.apply(sequence, payload, replayed=True)

    def _apply_later(self, current: Round, sequence: int, payload: bytes) -> None:
        """What lies between the last batch and this one is lost; where nothing does, it may still be another life."""
        if sequence > self._life.next:
            self._life.lose_through(sequence - 1)
        elif sequence == self._life.next and self._may_be_another:
            self._life.unverified()
        self._apply_replayed(current, sequence, payload)

    def _start_over_if_further_back(self, sequence: int) -> None:
        further = self._trust.sound and self._settings.policy is Policy.DROP and sequence < self._life.since
        if sequence == 0 or further:
            self._life.end(Reason.RESYNC)

    # --- an answer's end ----------------------------------------------------------------------------------------

    def _close(self, now: float, current: Round) -> None:
        match current.end():
            case Ending.EMPTY:
                self._nothing_there(now, current)
            case Ending.RESTARTED:
                self._restarted(now, expected=self._may_be_another)
            case Ending.HOLE:
                self._stuck_at = self._life.last
                self._ask(now)
            case Ending.WHOLE:
                self._settle(now, current)

    def _nothing_there(self, now: float, current: Round) -> None:
        """Nothing but the end marker: nothing was published in this life, or not as much as is known."""
        if not current.anchored:
            keeps_batches = self._endpoint.returned or self._heard_at == -math.inf
            if self._life.last < 0 and not self._held and not current.again and keeps_batches:
                self._life.begin(0)
            self._settle(now, current)
        elif self._may_be_another or self._endpoint.returned:
            self._restarted(now, expected=self._may_be_another)
        else:
            self._refuse(now, "it does not have the batch that came last, so it keeps none")

    def _settle(self, now: float, current: Round) -> None:
        """An answer without holes is there; see whether the live batches that wait go on behind it."""
        if not self._syncing:
            self._probed(now)
            return
        if current.again:
            self._ask(now)
            return
        self._held.drop_through(self._life.last)
        while self._held:
            first = self._held.first
            if first == self._life.next:
                self._life.apply(first, self._held.pop(first))
            elif first > current.newest_held or current.news:
                self._ask(now)
                return
            elif current.begun:
                self._life.lose_through(first - 1)
                self._life.apply(first, self._held.pop(first))
            else:
                self._refuse(now, "it has nothing of what came live, so it keeps no batches")
                return
        if self._overflowed:
            self._ask(now)
        else:
            self._go_live(now)

    def _go_live(self, now: float) -> None:
        self._syncing = self._doubt = self._adrift = False
        self._stuck_at = NOWHERE
        self._is_there()
        self._schedule_probe(now)

    def _probed(self, now: float) -> None:
        """A probe was answered; live batches went on meanwhile."""
        self._is_there()
        if self._resync_due and self._trust.state() is not State.EXACT:
            self._resync_due = False
            self._ask_for_everything(now)
        else:
            self._schedule_probe(now)

    def _is_there(self) -> None:
        """The engine answers, with or without a live connection."""
        self._stale = False
        self._timers.clear(Timer.GRACE)

    def _restarted(self, now: float, *, expected: bool) -> None:
        """The answer shows another life."""
        refused = not expected and self._endpoint.disagreed()
        self._restart()
        self._resync_due = False
        self._stuck_at = NOWHERE
        if refused:
            self._refuse(now, self._endpoint.refused)
        else:
            self._ask(now)

    # --- no answer ----------------------------------------------------------------------------------------------

    def _unanswered(self, now: float) -> None:
        current = self._round
        if current is None:
            return
        self._quit()
        self.counts.unanswered += 1
        self._attempts = 0 if current.news else self._attempts + 1
        if not current.begun:
            self._endpoint.missed(self._asked_at)
        self._notice_hang()
        if not self._syncing:
            self._schedule_probe_after_none(now)
        elif self._attempts < self._settings.attempts or self._link is Link.DOWN:
            self._timers.set(Timer.RETRY, now + self._jittered(self._endpoint.back_off_s()))
        else:
            self._give_up(now)

    def _notice_hang(self) -> None:
        endpoint = self._endpoint
        if endpoint.answered and endpoint.unanswered >= UNANSWERED and self._heard_at < endpoint.unanswered_since:
            self._stale = True

    def _give_up(self, now: float) -> None:
        """Live batches do not wait any longer; the endpoint is still asked now and then."""
        self._endpoint.given_up = True
        self._stale = self._stale and self._endpoint.answered
        self._attempts = 0
        self._actions.append(Note("the replay endpoint does not answer; going on with live batches alone"))
        self._go_on_without(now)

    def _refuse(self, now: float, why: str) -> None:
        self._endpoint.refused = why
        self._actions.append(Note(f"doing without the replay endpoint: {why}"))
        self._go_on_without(now)

    def _go_on_without(self, now: float) -> None:
        """Let live numbers alone decide; a connection of which they cannot tell whose it is counts as a gap."""
        self._quit()
        self._syncing = False
        if self._doubt:
            self._life.unverified()
            self._adrift = True
        self._doubt = False
        self._live = -1
        for sequence, payload in self._held.take_all():
            self._take(now, sequence, payload)
        if self._endpoint.worth_asking:
            self._resync_due = True
            self._schedule_probe_after_none(now)

    # --- probes -------------------------------------------------------------------------------------------------

    def _probe(self, now: float) -> None:
        """Ask for what may have been missed, if it is quiet or there is a reason."""
        if self._round is not None or self._syncing or not self._endpoint.worth_asking:
            return
        urgent = self._second_look or self._unchecked is not None or self._endpoint.given_up
        if not urgent and now < self._heard_at + self._quiet_s:
            self._timers.set(Timer.PROBE, self._heard_at + self._quiet_s)
            return
        self._second_look = False
        self._ask(now, hold=False)

    def _schedule_probe(self, now: float) -> None:
        self._quiet_s = self._jittered(self._settings.probe_interval_s)
        soon = self._second_look or self._unchecked is not None
        self._timers.set(Timer.PROBE, now + (self._soon_s() if soon else self._quiet_s))

    def _schedule_probe_after_none(self, now: float) -> None:
        self._timers.set(Timer.PROBE, now + self._jittered(self._endpoint.back_off_s(self._settings.probe_interval_s)))
