"""A server in a process of its own that can be ended in every way, and comes back on the same port."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # `bench` is no distribution

KATO_TRANSPORT = str(Path(sys.executable).with_name("kato-transport"))


class RestartingServer:
    """`kato-transport serve --data`, again and again."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._port = 0
        self.start()

    @property
    def endpoint(self) -> str:
        return f"tcp://127.0.0.1:{self._port}"

    def start(self) -> None:
        command = [KATO_TRANSPORT, "serve", "--no-rest", "--zmq-port", str(self._port), "--data", str(self._data)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline())
        self._port = int(ready["zmq"].rpartition(":")[2])

    def end(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RestartingServer]:
    """With a file of its own."""
    server = RestartingServer(tmp_path / "memory.sqlite")
    yield server
    server.end(signal.SIGKILL)
