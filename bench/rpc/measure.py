"""Rounds: in each, every subject has a turn at a case, alone, between two turns of raw pyzmq, while all others wait.

Cores of a shared machine may be twice as fast a second later. What a subject is compared with is the mean of the turns just
before and just after its own.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any

from attrs import Factory, frozen

from bench.processes import cpu_seconds, forget_peak, peak_bytes
from bench.rounds import rounds
from bench.rpc.cases import Case
from bench.rpc.roster import Subject
from bench.rpc.running import Failed, Running

Figures = dict[str, list[float]]
"""By name, one of each round."""


@frozen
class Turn:
    figures: dict[str, float]
    how: str
    """What was done to have calls in flight together."""


@frozen
class Found:
    """Everything by case and subject."""

    figures: dict[str, dict[str, Figures]] = Factory(dict)
    beside: dict[str, dict[str, list[float]]] = Factory(dict)
    """Raw's figure beside each of the subject's that decides."""
    how: dict[str, dict[str, str]] = Factory(dict)
    failures: dict[str, dict[str, str]] = Factory(dict)
    """Why there are no figures."""

    def keep(self, case: Case, subject: Subject, turn: Turn, raw: Sequence[Turn]) -> None:
        """What a turn gave, and what raw gave beside it."""
        mine = self.figures.setdefault(case.name, {}).setdefault(subject.name, {})
        for figure, value in turn.figures.items():
            mine.setdefault(figure, []).append(value)
        yardstick = statistics.mean(one.figures[case.figure] for one in raw)
        self.beside.setdefault(case.name, {}).setdefault(subject.name, []).append(yardstick)
        self.how.setdefault(case.name, {})[subject.name] = turn.how

    def drop(self, case: Case, subject: Subject, why: str) -> None:
        """All of a case, where a subject failed once."""
        self.failures.setdefault(case.name, {})[subject.name] = why
        for kept in (self.figures, self.beside):
            kept.get(case.name, {}).pop(subject.name, None)


def measure(pairs: Sequence[tuple[Case, Sequence[Subject]]], count: int, seconds: float, last_after_s: float) -> Found:
    """So many rounds of each case, whose first subject is the yardstick; fewer where a case's share of the time runs out."""
    found, began = Found(), time.monotonic()
    with ExitStack() as stack:
        subjects = {subject.name: subject for _, some in pairs for subject in some}
        running = {name: stack.enter_context(closing(Running(subject))) for name, subject in subjects.items()}
        for number, (case, some) in enumerate(pairs):
            print(f"{case.title} …", file=sys.stderr)
            share_s = (last_after_s - (time.monotonic() - began)) / (len(pairs) - number)
            _rounds(case, [running[subject.name] for subject in some], count, seconds, share_s, found)
    return found


def _rounds(case: Case, running: Sequence[Running], count: int, seconds: float, last_after_s: float, found: Found) -> None:
    raw, *others = running
    for _ in rounds(count, last_after_s):
        before = _turn(raw, case, seconds)
        found.keep(case, raw.subject, before, [before])
        for one in others:
            if one.subject.name in found.failures.get(case.name, {}):
                continue
            try:
                taken = _turn(one, case, seconds)
            except Failed as exc:
                found.drop(case, one.subject, str(exc))
                one.close()
                continue
            after = _turn(raw, case, seconds)
            found.keep(case, one.subject, taken, [before, after])
            before = after


def _turn(running: Running, case: Case, seconds: float) -> Turn:
    clients, seconds = running.clients(case.processes), seconds * case.longer
    for client in clients:
        client.say(method=case.method, size=case.size, threads=case.threads, in_flight=case.in_flight)
    for client in clients:
        client.hear()
    server, pids = running.server_pids(), running.pids()
    for pid in server:
        forget_peak(pid)
    before = [cpu_seconds(pid) for pid in pids]
    for client in clients:
        client.say(seconds=seconds)
    answers = [client.hear(seconds) for client in clients]
    spent = sum(map(cpu_seconds, pids)) - sum(before)
    figures = {
        "per_s": sum(answer["calls"] / answer["seconds"] for answer in answers),
        **_latency(answers),
        "cpu_us": 1e6 * spent / sum(answer["calls"] for answer in answers),
        "memory_mib": sum(map(peak_bytes, server)) / 2**20,
    }
    return Turn(figures, answers[0]["how"])


def _latency(answers: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The processes' median, and the worst one's p99."""
    if "p50_us" not in answers[0]:
        return {}
    return {
        "p50_us": statistics.median(answer["p50_us"] for answer in answers),
        "p99_us": max(answer["p99_us"] for answer in answers),
    }
