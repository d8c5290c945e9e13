"""Servers of a scripted processor, KATO's own clients by hand, and processes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import kato_transport as kt

from ..contract.doubles import ScriptedProcessor
from ..contract.raw import RawClient

HERE = Path(__file__).parent

GATEWAY = """
import json, sys
from kato_transport.compat import RestGateway
gateway = RestGateway(zmq_host="127.0.0.1")
gateway.start()
print(json.dumps({"port": gateway.port}), flush=True)
sys.stdin.read()
gateway.stop()
"""


class Running:
    """A process, in a group of its own, that has printed one line of JSON to say that it is ready."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=HERE,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
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

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is entered here is let go of at the test's end, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def processor(closing: ExitStack) -> ScriptedProcessor:
    """It keeps nobody waiting once the test has ended."""
    made = ScriptedProcessor()
    closing.callback(made.gate.set)
    return made


@pytest.fixture
def serve(processor: ScriptedProcessor, closing: ExitStack) -> Callable[..., kt.RunningServer]:
    """Serves the processor, and others beside it: `serve(transport, *others, **options)`."""

    def made(transport: str = "improved", *others: ScriptedProcessor, **options: Any) -> kt.RunningServer:
        served = [processor, *others]
        server = kt.serve(served, "tcp://127.0.0.1:0", transport=transport, **{"drain_s": 1.0, **options})
        closing.callback(server.close)
        closing.callback(processor.gate.set)  # before the server is closed, which waits for what it has begun
        return server

    return made


@pytest.fixture
def raw(closing: ExitStack) -> Callable[[int, str], RawClient]:
    """Makes clients as the original wrote them: `raw(zmq.DEALER, endpoint)`."""
    return lambda kind, endpoint: closing.enter_context(RawClient(kind, endpoint))


@pytest.fixture
def kato_transport(closing: ExitStack) -> Callable[..., Running]:
    """`kato-transport serve` in a process of its own, on free ports."""
    command = str(Path(sys.executable).with_name("kato-transport"))

    def made(*arguments: str) -> Running:
        running = Running(command, "serve", *arguments, ZMQ_PORT="0", REST_PORT="0")
        closing.callback(running.close)
        return running

    return made


@pytest.fixture
def rest_gateway(closing: ExitStack) -> Callable[..., Running]:
    """KATO's `RestGateway` in a process of its own, set up by its environment alone."""

    def made(**environment: str) -> Running:
        running = Running(sys.executable, "-c", GATEWAY, REST_PORT="0", **environment)
        closing.callback(running.close)
        return running

    return made


@pytest.fixture
def nowhere(closing: ExitStack) -> int:
    """A port of which nobody takes calls."""
    taken = closing.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    return int(taken.getsockname()[1])


def port_of(server: kt.RunningServer) -> int:
    """The port a server is bound to."""
    return int(server.endpoint.rpartition(":")[2])
