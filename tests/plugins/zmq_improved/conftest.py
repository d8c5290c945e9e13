"""A service to be called, and servers and connections that a test lets go of at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import kato_transport as kt

from .peers import WAIT_S


class Service:
    """Echoes, and holds calls back until it is told to let them go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.holding = 0
        self._lock = threading.Lock()

    def methods(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"echo": lambda value=None: {"value": value}, "hold": self.hold}

    def hold(self) -> dict[str, Any]:
        with self._lock:
            self.holding += 1
        self.gate.wait(3 * WAIT_S)
        return {}


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is entered here is let go of at the test's end, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def service(closing: ExitStack) -> Service:
    """What the servers serve."""
    made = Service()
    closing.callback(made.gate.set)
    return made


@pytest.fixture
def serve(service: Service, closing: ExitStack) -> Callable[..., kt.RunningServer]:
    """Serves the service: `serve(endpoint, **options)`."""

    def made(endpoint: str = "tcp://127.0.0.1:0", **options: Any) -> kt.RunningServer:
        server = kt.serve(service.methods(), endpoint, transport="improved", **{"drain_s": 1.0, **options})
        closing.callback(server.close)
        closing.callback(service.gate.set)
        return server

    return made


@pytest.fixture
def connection(closing: ExitStack) -> Callable[..., Any]:
    """The transport's own connection, which has `stats`: `connection(endpoint, **options)`."""

    def made(endpoint: str, **options: Any) -> Any:
        transport = kt.registry().transport("improved")
        connected = transport.connect(endpoint, kt.ClientOptions(codec=kt.registry().codec("msgpack"), **options))
        closing.callback(connected.close)
        return connected

    return made
