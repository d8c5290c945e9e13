"""What was found, as Markdown: a table for each number of connections, and the targets."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from bench.report import Target, table, targets
from bench.rest.stage import CALL, KATO, PER_REQUEST, RAW, REST
from bench.rest.turns import Figure
from bench.rounds import Ratio

COLUMNS: Final = ("request", "subject", "requests/s", "to raw ASGI", "p50 µs", "p99 µs", "CPU µs", "time-outs", "errors")


def report(found: Sequence[Figure]) -> str:
    parts = []
    for number in dict.fromkeys(figure.connections for figure in found):
        some = [figure for figure in found if figure.connections == number]
        parts.append(f"### {number} connections\n\n{table(COLUMNS, [_row(figure, some) for figure in some])}\n")
    return "\n".join([*parts, "### Targets\n", _targets(found)])


def _row(figure: Figure, some: Sequence[Figure]) -> list[str]:
    raw = _of(some, RAW, figure.case)
    ratio = Ratio.of(figure.per_s, raw.per_s) if raw is not None else None
    return [
        figure.case,
        figure.subject,
        f"{statistics.median(figure.per_s):,.0f}",
        str(ratio) if ratio is not None and figure is not raw else "",
        f"{statistics.median(figure.p50_us):,.0f}",
        f"{statistics.median(figure.p99_us):,.0f}",
        f"{statistics.median(figure.cpu_us):,.0f}",
        f"{figure.timeouts}",
        f"{figure.errors}",
    ]


def _targets(found: Sequence[Figure]) -> str:
    at_64 = [figure for figure in found if figure.connections == 64]
    rest_at_512 = [figure for figure in found if figure.connections == 512 and figure.subject == REST]
    rows = [
        (Target(f"64 connections, {case.title}, requests/s, to raw ASGI", "≥", 0.50), _ratio(at_64, case.title, RAW))
        for case in (KATO, CALL)
    ]
    slow = Target(f"64 connections, {KATO.title}, requests/s, to a thread per request", "≥", 6)
    rows.append((slow, _ratio(at_64, KATO.title, PER_REQUEST)))
    late = sum(figure.timeouts for figure in rest_at_512) if rest_at_512 else None
    rows.append((Target("512 connections, time-outs", "≤", 0), late))
    return targets(rows)


def _ratio(some: Sequence[Figure], case: str, other: str) -> float | None:
    rest, beside = _of(some, REST, case), _of(some, other, case)
    if rest is None or beside is None:
        return None
    ratio = Ratio.of(rest.per_s, beside.per_s)
    return None if ratio is None else ratio.median


def _of(some: Sequence[Figure], subject: str, case: str) -> Figure | None:
    return next((figure for figure in some if (figure.subject, figure.case) == (subject, case)), None)
