"""The processes of a subject: a server, and clients that measure when they are told to."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench.environment import ROOT
from bench.rpc.roster import Subject

PATIENCE_S: Final = 25.0


class Failed(Exception):
    """A subject could not do what it was asked."""


class Driver:
    """A process that speaks lines of JSON, in a process group and a folder of its own."""

    def __init__(self, python: Path, *arguments: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-rpc-")
        self._said = open(Path(self._folder.name) / "stderr", "w+")  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [str(python), "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            cwd=self._folder.name,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )

    def pids(self) -> list[int]:
        """This process and those that it has started."""
        found = [self._process.pid]
        for pid in found:
            with suppress(FileNotFoundError):  # ended meanwhile
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += map(int, (task / "children").read_text().split())
        return found

    def say(self, **line: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # whoever listens next finds out why
            print(json.dumps(line), file=self._process.stdin, flush=True)

    def hear(self, seconds: float = 0.0) -> dict[str, Any]:
        """The next line, which may take so long; `Failed` where it tells of an error or does not come."""
        assert self._process.stdout is not None
        there, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S + seconds)
        if not there:
            raise Failed(f"no answer within {PATIENCE_S + seconds:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"ended: {self._last_words()}")
        heard: dict[str, Any] = json.loads(line)
        if "error" in heard:
            raise Failed(heard["error"])
        return heard

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with self._process, self._said:
            pass
        self._folder.cleanup()

    def _last_words(self) -> str:
        self._said.seek(0)
        return next((line for line in reversed(self._said.read().splitlines()) if line.strip()), "it said nothing")


class Running:
    """Starts what is needed when it is needed; what failed is started anew for the next case."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._server: Driver | None = None
        self._clients: list[Driver] = []
        self._endpoint = ""

    def clients(self, count: int) -> Sequence[Driver]:
        """So many, and the server before them."""
        if self.subject.serves and self._server is None:
            self._server = Driver(self.subject.python, "bench.rpc.driver.server", self.subject.module, self.subject.variant)
            self._endpoint = self._server.hear()["endpoint"]
        for client in self._clients[count:]:
            client.close()
        del self._clients[count:]
        new = [self._client() for _ in range(count - len(self._clients))]
        self._clients += new
        for client in new:  # which start side by side
            client.hear()
        return self._clients

    def server_pids(self) -> list[int]:
        """Those of the client where it is the server, too."""
        return (self._server or self._clients[0]).pids()

    def pids(self) -> list[int]:
        drivers = [*self._clients, *([self._server] if self._server else [])]
        return [pid for driver in drivers for pid in driver.pids()]

    def close(self) -> None:
        for driver in [*self._clients, *([self._server] if self._server else [])]:
            driver.close()
        self._server, self._clients = None, []

    def _client(self) -> Driver:
        found = f"{self.subject.module}:{self.subject.client}"
        return Driver(self.subject.python, "bench.rpc.driver.client", found, self.subject.variant, self._endpoint)
