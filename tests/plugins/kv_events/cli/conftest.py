"""The command line: short commands in this process, those that run until they are stopped in their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kato_transport.cli import cli
from kato_transport_kv_events.testing import EventPublisher

KATO_TRANSPORT = str(Path(sys.executable).with_name("kato-transport"))


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run a `kv` command to its end: `run("decode", path, stdin=data)`."""

    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(cli, ["kv", *map(str, arguments)], input=stdin, catch_exceptions=False)

    return run


class Running:
    """A command under way that prints lines of JSON."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [KATO_TRANSPORT, "kv", *map(str, arguments)],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self, **wanted: Any) -> dict[str, Any]:
        """The next line that has these fields; the test's time limit is the limit."""
        assert self.process.stdout is not None
        passed = []
        for text in self.process.stdout:
            fields: dict[str, Any] = json.loads(text)
            if wanted.items() <= fields.items():
                return fields
            passed.append(fields)
        raise AssertionError(f"no {wanted} among {passed}: {self.process.communicate()[1]}")

    def end(self, number: int) -> tuple[int, str, str]:
        """Send a signal; the exit status, what else was printed, and what was logged."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str, str]:
        """The exit status of a command that ends by itself, what was printed, and what was logged."""
        out, log = self.process.communicate(timeout=20)
        return self.process.returncode, out, log


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Start `kv` commands; whatever still runs is killed at the end."""
    started: list[Running] = []

    def start(*arguments: str, **environment: str) -> Running:
        started.append(Running(*arguments, **environment))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.communicate()


@pytest.fixture
def source() -> Callable[..., str]:
    """A publisher as a source is written: `source(publisher, pod)`."""

    def written(publisher: EventPublisher, pod: str = "a") -> str:
        replay = f",replay={publisher.replay_endpoint}" if publisher.replay_endpoint else ""
        return f"{pod}={publisher.endpoint}{replay}"

    return written
