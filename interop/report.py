"""What came of it all: a row for each scenario, a text for people, and what decides the exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from attrs import asdict, frozen


class Outcome(StrEnum):
    EQUAL = "equal"
    UNEQUAL = "NOT equal"
    BROKEN = "broke off"
    """Something did not do what the scenario needs, so that nothing could be compared."""
    UNAVAILABLE = "could not be had"
    UNTRIED = "not tried"


@frozen(kw_only=True)
class Row:
    engine: str
    version: str
    scenario: str = ""
    """Empty where it is about all of them."""
    outcome: Outcome
    seconds: float = 0.0
    why: str = ""
    """What happened, or what is missing."""


def in_order(rows: Sequence[Row]) -> bool:
    """Whether all that could be had was equal, and there was something."""
    outcomes = {row.outcome for row in rows}
    return Outcome.EQUAL in outcomes and not outcomes & {Outcome.UNEQUAL, Outcome.BROKEN}


def as_text(rows: Sequence[Row], *, finished: bool = True) -> str:
    """A paragraph for each engine and version, and the sum of it."""
    lines: list[str] = []
    heading = None
    for row in rows:
        if heading != (heading := f"{row.engine} {row.version}"):
            lines += ["", heading]
        lines.append(f"  {row.scenario:<46} {row.outcome:<16} {row.seconds:>6.1f} s  {row.why}".rstrip())
    counted = Counter(row.outcome for row in rows)
    total = ", ".join(f"{counted[outcome]} {outcome}" for outcome in Outcome if counted[outcome])
    return "\n".join(
        [*lines, "", f"{total or 'nothing was played'}; {sum(row.seconds for row in rows):.0f} s", _verdict(rows, finished)]
    )


def as_json(rows: Sequence[Row], *, finished: bool = True) -> dict[str, Any]:
    return {"ok": finished and in_order(rows), "rows": [asdict(row) for row in rows]}


def _verdict(rows: Sequence[Row], finished: bool) -> str:
    if not in_order(rows):
        return "NOT in order"
    if not finished:
        return "in order until it was ended"
    return "in order" if {row.outcome for row in rows} == {Outcome.EQUAL} else "in order, as far as it was tried"
