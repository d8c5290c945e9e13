"""One turn after the other: wrk against a subject, and what the kernel counted meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from attrs import asdict, define, field, frozen

from bench.processes import cpu_seconds
from bench.rest.stage import CASES, Case, Subject
from bench.rounds import rounds

SCRIPT: Final = Path(__file__).with_name("wrk.lua")


@define
class Figure:
    """Of a subject, a case and a number of connections: a figure of each round; timeouts and errors of all."""

    subject: str
    case: str
    connections: int
    per_s: list[float] = field(factory=list)
    p50_us: list[float] = field(factory=list)
    p99_us: list[float] = field(factory=list)
    cpu_us: list[float] = field(factory=list)
    """Of a request."""
    timeouts: int = 0
    """Answers that took more than 2 s."""
    errors: int = 0
    """Connections that broke, and answers that were no 200."""

    def as_map(self) -> dict[str, Any]:
        return asdict(self)


@frozen
class Turns:
    """How long they are."""

    seconds: int
    warm_up: bool = True

    def take(self, subject: Subject, case: Case, figure: Figure) -> None:
        """One turn, added to the figure."""
        before = sum(map(cpu_seconds, subject.pids))
        found = _wrk(subject.url + case.path, case.body, figure.connections, self.seconds)
        cpu_s = sum(map(cpu_seconds, subject.pids)) - before
        figure.per_s.append(found["requests"] / found["seconds"])
        figure.p50_us.append(found["p50_us"])
        figure.p99_us.append(found["p99_us"])
        figure.cpu_us.append(1e6 * cpu_s / max(found["requests"], 1))
        figure.timeouts += found["timeouts"]
        figure.errors += found["refused"] + found["errors"]


def measure(
    subjects: Sequence[Subject], connections: Sequence[int], turns: Turns, count: int, last_after_s: float
) -> list[Figure]:
    """Every subject at each of its cases and each number of connections."""
    plan = [
        (subject, case, Figure(subject.name, case.title, number))
        for number in connections
        for case in CASES
        for subject in subjects
        if case in subject.cases
    ]
    if turns.warm_up:
        for subject, case, figure in plan:
            turns.take(subject, case, Figure(subject.name, case.title, figure.connections))
    for _ in rounds(count, last_after_s):
        for subject, case, figure in plan:
            turns.take(subject, case, figure)
    return [figure for _, _, figure in plan]


def _wrk(url: str, body: str, connections: int, seconds: int) -> dict[str, Any]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "2s", "-s", str(SCRIPT), url]
    environ = {**os.environ, "BENCH_BODY": body}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ, timeout=seconds + 60)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
