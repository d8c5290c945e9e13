"""A server and a client of it, used in every way before anything is forked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from attrs import frozen

import kato_transport as kt

WAIT_S = 5.0


@frozen
class Pair:
    """A server that echoes, and holds a call of `hold` back until `gate` is set; and a client of it."""

    server: kt.RunningServer
    client: kt.Client
    holding: threading.Event
    gate: threading.Event


@pytest.fixture(params=["improved", "basic"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Of one transport after the other."""
    holding, gate = threading.Event(), threading.Event()

    def hold() -> dict[str, Any]:
        holding.set()
        gate.wait(4 * WAIT_S)
        return {"held": True}

    methods = {"echo": lambda value: {"value": value}, "hold": hold}
    with ExitStack() as closing:
        server = closing.enter_context(kt.serve(methods, "tcp://127.0.0.1:0", transport=request.param, drain_s=1.0))
        closing.callback(gate.set)
        client = closing.enter_context(kt.connect(server.endpoint, transport=request.param, timeout_s=WAIT_S))
        use(client)
        yield Pair(server, client, holding, gate)


def use(client: kt.Client) -> None:
    """Call and submit."""
    assert client.call("echo", {"value": 1})["value"] == 1
    assert client.submit("echo", {"value": 2}).result(WAIT_S)["value"] == 2
