"""A process that is told what to do, and that does not outlive the one who started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from concurrent.futures import TimeoutError as Overdue
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from kato_transport.testing.waiting import background

ROOT: Final = Path(__file__).parents[1]


class Broken(Exception):
    """A process does not do what it is told, so that nothing can be compared."""


class Peer:
    """A module run in an environment of its own; it answers each line of JSON with another."""

    def __init__(
        self, python: Path, module: str, config: Mapping[str, Any], log: Path, environment: Mapping[str, str], ready_s: float
    ) -> None:
        self._command = [str(python), "-m", module, json.dumps(config)]
        self._log = log
        self._environment = {**os.environ, **environment}
        self._ready_s = ready_s
        self.start()

    def start(self) -> None:
        """Begin, and wait until it can be asked."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=self._environment,
                start_new_session=True,
            )
        try:
            self._answer("start", self._ready_s)
        except BaseException:
            self.kill()
            raise

    def ask(self, do: str, *, limit_s: float = 30.0, **arguments: Any) -> Any:
        """Have it do something; what it says to that."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as exc:
            raise Broken(f"it has ended; see {self._log}") from exc
        return self._answer(do, limit_s)

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """At once, with all that it started; idempotent."""
        if self._process.returncode is None:  # not yet waited for, so that the number is still its own
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    def _answer(self, do: str, limit_s: float) -> Any:
        assert self._process.stdout is not None
        try:
            line = background(self._process.stdout.readline).result(limit_s)
        except Overdue as exc:
            raise Broken(f"no answer to {do!r} within {limit_s:g} s; see {self._log}") from exc
        said = json.loads(line) if line else {"error": "it has ended"}
        if "error" in said:
            raise Broken(f"{do!r}: {said['error']}; see {self._log}")
        return said["answer"]
