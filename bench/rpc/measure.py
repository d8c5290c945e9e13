"""Rounds: in each, every subject has a turn at a case, alone, while all others wait."""

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
class Found:
    figures: dict[str, dict[str, Figures]] = Factory(dict)
    """By case and subject."""
    how: dict[str, dict[str, str]] = Factory(dict)
    """By case and subject, how calls came to be in flight together."""
    failures: dict[str, dict[str, str]] = Factory(dict)
    """By case and subject, why there are no figures."""


def measure(pairs: Sequence[tuple[Case, Sequence[Subject]]], count: int, seconds: float, last_after_s: float) -> Found:
    """So many rounds of each case, or fewer where time runs out; every case has its share of what is left."""
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
    figures, how = found.figures.setdefault(case.name, {}), found.how.setdefault(case.name, {})
    failures = found.failures.setdefault(case.name, {})
    for _ in rounds(count, last_after_s):
        for one in running:
            name = one.subject.name
            if name in failures:
                continue
            try:
                turn = _turn(one, case, seconds)
            except Failed as exc:
                failures[name] = str(exc)
                figures.pop(name, None)
                one.close()
                continue
            how[name] = turn.pop("how")
            for figure, value in turn.items():
                figures.setdefault(name, {}).setdefault(figure, []).append(value)


def _turn(running: Running, case: Case, seconds: float) -> dict[str, Any]:
    """Figures of a subject, and under `how` what it did to have calls in flight."""
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
    return {
        "how": answers[0]["how"],
        "per_s": sum(answer["calls"] / answer["seconds"] for answer in answers),
        **_latency(answers),
        "cpu_us": 1e6 * spent / sum(answer["calls"] for answer in answers),
        "memory_mib": sum(map(peak_bytes, server)) / 2**20,
    }


def _latency(answers: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The processes' median, and the worst one's p99."""
    if "p50_us" not in answers[0]:
        return {}
    return {
        "p50_us": statistics.median(answer["p50_us"] for answer in answers),
        "p99_us": max(answer["p99_us"] for answer in answers),
    }
