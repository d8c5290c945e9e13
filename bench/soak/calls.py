"""What a client asks next, and what its answers are worth. No I/O.

An observation is answered with its own unique id; a model that is asked for by its name, one of many, is answered with its
own sequence. So an answer that went to somebody else's call is noticed.
"""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import Factory, define

import kato_transport as kt
from bench.soak.ledger import Ledger
from kato_transport.compat import ServerError, Unreachable

Call = tuple[str, dict[str, Any]]
Outcome = Mapping[str, Any] | Exception

MODELS: Final = 40
SHARE_OF_READS: Final = 0.2
MOST_COMPLAINTS: Final = 20
OVERDUE_S: Final = 10.0
"""What a call may take beyond its own time on a machine that is busy otherwise."""

SENT_NOTHING = (kt.ConnectFailed, kt.ServerBusy)
MAY_HAVE_RUN = (kt.CallTimeout, kt.ConnectionLost)
REFUSALS: Final = frozenset({"busy", "unavailable"})
UNCLEAR: Final = frozenset({"connection_lost", "deadline_exceeded", "restarted", "forgotten"})
"""Codes of error answers that faults bring about: not run, and nobody knows. Any other is a wrong answer to these calls."""


def sequence(number: int) -> list[list[str]]:
    """What the model of that number was learned from."""
    return [[f"m{number}.{event}"] for event in range(3)]


def observation(unique_id: str) -> Call:
    return "observe", {"strings": [unique_id], "vectors": [], "emotives": {"joy": 0.5}, "unique_id": unique_id}


@define
class Tally:
    """What came of calls; tallies add up."""

    calls: int = 0
    answered: int = 0
    typed: Counter[str] = Factory(Counter)
    untyped: int = 0
    wrong: int = 0
    overdue: int = 0
    complaints: list[str] = Factory(list)

    def complain(self, sentence: str) -> None:
        """Keep a sentence for the report: the first ones, as more would tell no more."""
        if len(self.complaints) < MOST_COMPLAINTS:
            self.complaints.append(sentence)

    def add(self, other: Tally) -> None:
        self.calls += other.calls
        self.answered += other.answered
        self.typed += other.typed
        self.untyped += other.untyped
        self.wrong += other.wrong
        self.overdue += other.overdue
        for sentence in other.complaints:
            self.complain(sentence)


class Asker:
    """One sequence of calls, each made when the one before it has ended, or so many at once."""

    def __init__(self, name: str, seed: int, models: Mapping[str, int], at_once: int, observes: bool) -> None:
        self.dice = random.Random(f"{seed} {name}")
        self.ledger = Ledger(name)
        self.tally = Tally()
        self._models = list(models.items())
        self._numbers = models
        self._at_once = at_once
        self._share_of_reads = SHARE_OF_READS if observes else 1.0

    def next(self) -> list[Call]:
        return [self._next() for _ in range(self._at_once)]

    def judge(self, calls: Sequence[Call], outcomes: Sequence[Outcome], overdue_s: float) -> None:
        """Count what came of them; `overdue_s` is what they took beyond their time."""
        self.tally.calls += len(calls)
        if overdue_s > OVERDUE_S:
            self.tally.overdue += 1
            self.tally.complain(f"{self.ledger.name}: {calls[0][0]} ended {overdue_s:.1f} s after its time")
        if len(outcomes) != len(calls):
            self._wrong(f"{len(calls)} calls, {len(outcomes)} outcomes")
        for call, outcome in zip(calls, outcomes, strict=False):
            if isinstance(outcome, Exception):
                self._failed(call, outcome)
            elif self._is_right(call, outcome):
                self.tally.answered += 1
            else:
                self._wrong(f"{call} was answered {outcome!r:.300}")

    def _next(self) -> Call:
        if self.dice.random() < self._share_of_reads:
            return "get_model", {"model_id": self.dice.choice(self._models)[0]}
        return observation(self.ledger.next())

    def _is_right(self, call: Call, answer: Mapping[str, Any]) -> bool:
        method, params = call
        if method == "observe":
            return bool(answer.get("unique_id") == params["unique_id"])
        model = answer.get("model")
        return isinstance(model, Mapping) and model.get("sequence") == sequence(self._numbers[params["model_id"]])

    def _failed(self, call: Call, exc: Exception) -> None:
        """KATO's own exceptions carry what happened as their cause."""
        told = exc.__cause__ if isinstance(exc, (ServerError, Unreachable)) and exc.__cause__ else exc
        code = getattr(told, "code", "") if isinstance(told, kt.RemoteError) else ""
        if call[0] == "observe":
            nothing_ran = isinstance(told, SENT_NOTHING) or code in REFUSALS
            note = self.ledger.refused if nothing_ran else self.ledger.unknown
            note(call[1]["unique_id"])
        if not isinstance(exc, kt.TransportError):
            self.tally.untyped += 1
            self.tally.complain("".join(traceback.format_exception(exc)))
            return
        self.tally.typed[f"{type(exc).__name__}[{code}]" if code else type(exc).__name__] += 1
        if not isinstance(told, SENT_NOTHING + MAY_HAVE_RUN) and code not in REFUSALS | UNCLEAR:
            self._wrong(f"{call} ended in {exc!r:.300}")

    def _wrong(self, sentence: str) -> None:
        self.tally.wrong += 1
        self.tally.complain(f"{self.ledger.name}: {sentence}")
