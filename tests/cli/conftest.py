"""Real commands in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

KATO_TRANSPORT = str(Path(sys.executable).with_name("kato-transport"))
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Run:
    """Run a command to its end."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kato_transport", *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    return run


class Running:
    """A command under way that prints a ready line."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [KATO_TRANSPORT, *arguments],
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @cached_property
    def ready(self) -> dict[str, Any]:
        """Its ready line, waited for."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; the exit status and what was logged."""
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=20)
        return self.process.returncode, log


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start commands; whatever still runs is killed at the end."""
    started: list[Running] = []

    def start(*arguments: str, cwd: Path | None = None, **environment: str) -> Running:
        started.append(Running(arguments, environment, cwd))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.communicate()


@pytest.fixture
def serve(start: Start) -> Start:
    """Start servers on free ports, and wait until they are ready."""

    def serve(*arguments: str, cwd: Path | None = None, **environment: str) -> Running:
        serving = start("serve", *arguments, cwd=cwd, **{"ZMQ_PORT": "0", "REST_PORT": "0", **environment})
        assert serving.ready
        return serving

    return serve
