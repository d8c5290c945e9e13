"""Real commands in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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
            timeout=40,
            check=False,
        )

    return run


class Serving:
    """A `serve` under way, with its ready line."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], cwd: Path | None) -> None:
        self.process = subprocess.Popen(
            [KATO_TRANSPORT, "serve", *arguments],
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.ready: dict[str, Any] = json.loads(line)

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; the exit status and what was logged."""
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=20)
        return self.process.returncode, log


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    """Start servers on free ports; whatever still runs is killed at the end."""
    started: list[Serving] = []

    def serve(*arguments: str, cwd: Path | None = None, **environment: str) -> Serving:
        started.append(Serving(arguments, {"ZMQ_PORT": "0", "REST_PORT": "0", **environment}, cwd))
        return started[-1]

    yield serve
    for serving in started:
        serving.process.kill()
        serving.process.communicate()
