"""A server that serves `Handlers`, and clients that hide nothing it has missed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

import kato_transport as kt
from kato_transport_zmq_improved import server as improved

from ..peers import WAIT_S
from .calls import Handlers

ALONE: dict[str, Any] = {"copies": 1, "heartbeat_interval_s": 0.0}
"""For clients: second copies and heartbeats would wake a server that has missed something."""


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
def serve(handlers: Handlers, closing: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., kt.RunningServer]:
    """A server whose receivers look after nothing of themselves: what nobody tells them of stays where it is."""
    monkeypatch.setattr(improved, "TICK_MS", 600_000)

    def made(endpoint: str = "tcp://127.0.0.1:0", served: Any = None, **options: Any) -> kt.RunningServer:
        server = kt.serve(served or handlers.methods(), endpoint, transport="improved", **{"drain_s": 1.0, **options})
        handlers.server = server
        closing.callback(server.close)
        closing.callback(handlers.gate.set)
        return server

    return made


@pytest.fixture
def connect(closing: ExitStack) -> Callable[[kt.RunningServer], kt.Client]:
    def made(server: kt.RunningServer) -> kt.Client:
        return closing.enter_context(kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S, **ALONE))

    return made
