"""Who is measured: processes that say where they listen, and end with the bench."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from bench.environment import ROOT
from bench.peers import python_with

RAW_NEEDS: Final = ("uvicorn==0.54.0", "httptools==0.9.0", "uvloop==0.23.0")
END_S: Final = 10.0

ECHOED: Final = {"text": "x" * 150, "number": 12345, "list": [1, 2, 3]}
REST, RAW = "rest", "raw ASGI"
PER_REQUEST, PER_CONNECTION = "a thread per request", "a thread per connection"


@frozen
class Case:
    """One kind of request."""

    title: str
    path: str
    body: str = ""
    """Of a POST; without, it is a GET."""


KATO: Final = Case("GET /p1/ping", "/p1/ping")
CALL: Final = Case("POST /kato-api/call", "/kato-api/call", json.dumps({"method": "echo", "params": ECHOED}))
CASES: Final = (KATO, CALL)


@frozen
class Subject:
    """What is asked at `url`; the processes behind it are `pids`."""

    name: str
    url: str
    pids: Sequence[int]
    cases: Sequence[Case]


def on_stage(stack: ExitStack, peers: bool) -> list[Subject]:
    """All subjects, until the stack is closed; without raw ASGI where it cannot be had, or peers are not wanted."""

    def started(*command: str) -> tuple[str, int]:
        return stack.enter_context(_process(command))

    own = (sys.executable, "-m")
    endpoint, server = started(*own, "bench.rest.serve", "server")
    url, gateway = started(*own, "bench.rest.serve", "gateway", endpoint)
    subjects = [Subject(REST, url, (gateway, server), CASES)]
    for name, per in ((PER_REQUEST, "request"), (PER_CONNECTION, "connection")):
        there, pid = started(*own, "bench.rest.threads", per, endpoint)
        subjects.append(Subject(name, there, (pid, server), (KATO,)))
    python = python_with("uvicorn", RAW_NEEDS, "uvicorn, httptools, uvloop") if peers else None
    if python is not None:
        answers = {case.path: _asked(url, case) for case in CASES}
        there, pid = started(str(python), str(Path(__file__).with_name("raw_asgi.py")), json.dumps(answers))
        subjects.insert(0, Subject(RAW, there, (pid,), CASES))
    for subject in subjects:
        _check(subject)
    return subjects


def _check(subject: Subject) -> None:
    """All of them are to give the same answers."""
    for case in subject.cases:
        answer: dict[str, Any] = json.loads(_asked(subject.url, case))
        assert answer["status"] == "okay", answer
        assert len(answer) == (6 if case is KATO else 4), answer


def _asked(url: str, case: Case) -> str:
    data = case.body.encode() or None
    asked = urllib.request.Request(url + case.path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=END_S) as answer:
        return str(answer.read(), "utf-8")


@contextmanager
def _process(command: Sequence[str]) -> Iterator[tuple[str, int]]:
    """What it printed first, and its number."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
