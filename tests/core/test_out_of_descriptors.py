"""A process that has run out of file descriptors: its calls fail as such that were never sent, and go on once it has some."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import kato_transport as kt
from kato_transport.testing import FaultProxy

from .waiting import WAIT_S, until

PROGRAM = Path(__file__).with_name("short_of_descriptors.py")
ENOUGH = 20
"""More descriptors than a client and a call need."""


class Short:
    """The program, asked one thing after the other."""

    def __init__(self, transport: str, endpoint: str) -> None:
        command = [sys.executable, str(PROGRAM), transport, endpoint]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        """Its exit status, once it has let go of its client."""
        self.process.communicate(timeout=20)
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is entered here is let go of at the test's end, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=["improved", "basic"])
def transport(request: pytest.FixtureRequest) -> str:
    """Both stand on the same sockets."""
    found: str = request.param
    return found


Serve = Callable[..., kt.RunningServer]


@pytest.fixture
def serve(transport: str, closing: ExitStack) -> Serve:
    """A server that echoes."""

    def made(endpoint: str = "tcp://127.0.0.1:0") -> kt.RunningServer:
        return closing.enter_context(kt.serve({"echo": lambda value: {"value": value}}, endpoint, transport=transport))

    return made


@pytest.fixture
def short(transport: str, closing: ExitStack) -> Callable[[str], Short]:
    """The program, as a client of an endpoint."""

    def made(endpoint: str) -> Short:
        short = Short(transport, endpoint)
        closing.callback(short.close)
        return short

    return made


@pytest.mark.parametrize("first", [False, True], ids=["beside a kept one", "the only one"])
def test_a_new_client_fails_to_connect_however_few_descriptors_are_left(
    serve: Serve, short: Callable[[str], Short], first: bool
) -> None:
    """From none at all to just too few, and nothing of that is left once there are enough.

    A kept one is answered all the time; where there is none, what all clients share has to be made, too.
    """
    process = short(serve().endpoint)
    assert process.ask("new" if first else "keep") == "answered"
    outcomes = []
    for left in range(ENOUGH):
        process.ask(f"take {left}")
        outcomes.append(process.ask("new"))
        assert first or process.ask("call") == "answered"
        process.ask("free")
        assert process.ask("new") == "answered", f"after {left} descriptors were left: {outcomes[-1]}"
    assert [told for told in outcomes if not never_sent(told) and told != "answered"] == []
    assert never_sent(outcomes[0])
    assert outcomes[-1] == "answered"
    assert process.end() == 0


def test_a_client_whose_server_restarts_meanwhile_finds_it_afterwards(serve: Serve, short: Callable[[str], Short]) -> None:
    """Without a descriptor nobody connects; nothing of that is left once there are some."""
    server = serve()
    process = short(server.endpoint)
    assert process.ask("keep") == process.ask("submit") == "answered"
    process.ask("take 0")
    server.close()
    serve(server.endpoint)
    for _ in range(3):
        process.ask("take 0")  # whatever has been closed meanwhile
        for command in ("call", "submit"):
            told = process.ask(command)
            assert never_sent(told) or told.startswith("ConnectionLost: ") or told == "answered"
    heals(process)


@pytest.mark.parametrize("transport", ["improved"], indirect=True)
def test_a_client_whose_server_falls_silent_meanwhile_finds_it_afterwards(
    serve: Serve, short: Callable[[str], Short], closing: ExitStack
) -> None:
    """It has to let go of its sockets, and gets no others."""
    parts = urlsplit(serve().endpoint)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = closing.enter_context(FaultProxy(parts.hostname, parts.port))
    process = short(f"tcp://127.0.0.1:{proxy.port}")
    assert process.ask("keep") == process.ask("submit") == "answered"
    process.ask("take 0")
    proxy.down.drop()
    told = process.ask("submit")
    assert never_sent(told) or told.startswith("ConnectionLost: ")
    process.ask("take 0")
    proxy.down.flow()
    proxy.cut()
    heals(process)


def test_a_server_without_descriptors_closes_all_the_same(short: Callable[[str], Short], transport: str) -> None:
    """Nothing can be opened to wake its thread, which looks by itself; another can be bound to its port afterwards."""
    process = short("tcp://127.0.0.1:1")
    endpoint = process.ask("serve")
    assert endpoint.startswith("tcp://")
    process.ask("take 0")
    assert process.ask("stop") == "answered, 0 threads"
    process.ask("free")
    kt.serve({}, endpoint, transport=transport).close()
    assert process.end() == 0


def never_sent(told: str) -> bool:
    """Whether a call failed in the way that says so."""
    return told.startswith("ConnectFailed: ")


def heals(process: Short) -> None:
    """With descriptors to be had again, calls and futures are answered, and the process ends well."""
    process.ask("free")
    for command in ("call", "submit"):
        until(lambda command=command: process.ask(command) == "answered", f"{command} never heals", 2 * WAIT_S)
    assert process.end() == 0
