"""What a run comes to, for people: a table for each case, what failed, and the targets."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from bench.report import Target, table, targets
from bench.rounds import Ratio
from bench.rpc.cases import CASES, Case
from bench.rpc.measure import Found
from bench.rpc.roster import ASYNC, BASIC, INLINE, MORE_WORKERS, POOLED

COLUMNS: Final = {
    "p50, µs": "p50_us",
    "p99, µs": "p99_us",
    "requests/s": "per_s",
    "CPU per request, µs": "cpu_us",
    "server's memory, MiB": "memory_mib",
}
TARGETS: Final = (
    (Target("improved, sync, p50", "≤", 1.15), "one", INLINE),
    (Target("improved, 8 threads, requests/s", "≥", 0.90), "threads", INLINE),
    (Target("improved, 64 in flight, call_many, requests/s", "≥", 0.75), "flight", INLINE),
    (Target("improved, 64 in flight, asyncio, requests/s", "≥", 0.70), "flight", ASYNC),
    (Target("improved, pooled handlers, sync, p50", "≤", 1.6), "one", POOLED),
    (Target("basic, sync, p50", "≤", 1.15), "one", BASIC),
    (Target("a handler sleeping 2 ms, 64 in flight, 8 workers, requests/s", "≥", 8), "sleep", POOLED),
    (Target("the same with 32 workers", "≥", 8), "sleep", MORE_WORKERS),
    (Target("10 MB of bytes, p50", "≤", 1.0), "10MB", INLINE),
)
"""Each with its case and subject; all are to raw + msgspec, which serves by one thread."""


def report(found: Found) -> str:
    cases = [case for case in CASES if case.name in found.figures]
    parts = [part for case in cases for part in _case(case, found)]
    return "\n\n".join([*parts, "### Ratios to raw + msgspec", summary(found, cases), "### Targets", target_table(found)])


def summary(found: Found, cases: Sequence[Case]) -> str:
    """Of p50, where less is better, or of requests/s."""
    names = list(dict.fromkeys(name for case in cases for name in found.figures[case.name]))
    columns = [f"{case.name}, {'p50' if case.figure == 'p50_us' else 'requests/s'}" for case in cases]
    return table(["subject", *columns], [[name, *(_median(found, case, name) for case in cases)] for name in names])


def _median(found: Found, case: Case, name: str) -> str:
    ratio = ratio_to_raw(found, case.name, name, case.figure)
    return f"{ratio.median:.2f}" if ratio else "-"


def target_table(found: Found) -> str:
    return targets((target, _measured(found, case, subject)) for target, case, subject in TARGETS)


def _measured(found: Found, case: str, subject: str) -> float | None:
    figure = next(one.figure for one in CASES if one.name == case)
    ratio = ratio_to_raw(found, case, subject, figure)
    return ratio.median if ratio else None


def ratio_to_raw(found: Found, case: str, subject: str, figure: str) -> Ratio | None:
    """To raw's figures just beside the subject's; pipelined calls cannot be told apart, so that there may be none."""
    mine = found.figures.get(case, {}).get(subject, {}).get(figure, [])
    return Ratio.of(mine, found.beside.get(case, {}).get(subject, []))


def _case(case: Case, found: Found) -> Iterator[str]:
    figures = found.figures[case.name]
    decides = next(title for title, figure in COLUMNS.items() if figure == case.figure)
    yield f"### {case.title}"
    rows = [_row(name, case, found) for name in figures]
    yield table(["subject", *COLUMNS, f"{decides.partition(',')[0]}, ratio to raw"], rows)
    for name, why in found.failures.get(case.name, {}).items():
        yield f"{name}: no figures, as it failed: {why}"


def _row(name: str, case: Case, found: Found) -> Sequence[str]:
    figures, how = found.figures[case.name][name], found.how[case.name][name]
    cells = [_shown(figures.get(figure, [])) for figure in COLUMNS.values()]
    return [f"{name} ({how})" if how else name, *cells, str(ratio_to_raw(found, case.name, name, case.figure) or "-")]


def _shown(each: Sequence[float]) -> str:
    return f"{statistics.median(each):,.0f}" if each else "-"
