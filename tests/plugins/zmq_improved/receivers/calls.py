"""What is called through receivers, and how these tests tell who ran it."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

import kato_transport as kt

from ..peers import WAIT_S, until

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="one receiver is all there is without epoll")

Serve = Callable[..., kt.RunningServer]
Connect = Callable[[kt.RunningServer], kt.Client]


def threads(kind: str = "") -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"kato-improved-{kind}")]


def by_a_receiver() -> bool:
    return threading.current_thread() in threads("server")


class Handlers:
    """What is called, and what the calls found."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.held_by: list[bool] = []
        self.server: kt.RunningServer | None = None

    def methods(self) -> dict[str, Callable[..., dict[str, Any]]]:
        inline = kt.inline(lambda value=None: {"value": value})
        return {"where": self.where, "hold": self.hold, "echo": self.echo, "inline": inline, "close": self.close}

    def where(self) -> dict[str, Any]:
        return {"by_a_receiver": by_a_receiver()}

    def echo(self, value: int = 0) -> dict[str, Any]:
        return {"value": value}

    def hold(self) -> dict[str, Any]:
        self.held_by.append(by_a_receiver())
        self.gate.wait(3 * WAIT_S)
        return {"by_a_receiver": by_a_receiver()}

    def close(self) -> dict[str, Any]:
        assert self.server is not None
        self.server.close()
        self.held_by.append(by_a_receiver())
        return {}


def held(client: kt.Client, handlers: Handlers) -> Future[Any]:
    """A call that a receiver runs, and that lasts until the gate opens."""
    for _ in range(50):
        begun = len(handlers.held_by)
        future = client.submit("hold")
        until(lambda begun=begun: len(handlers.held_by) > begun, "the call did not start")
        if handlers.held_by[-1]:
            return future
        handlers.gate.set()
        future.result(WAIT_S)
        handlers.gate.clear()
    pytest.fail("no receiver runs anything")
