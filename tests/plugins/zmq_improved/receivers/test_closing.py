"""A server is closed while its receivers run handlers, or by one of these."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

import kato_transport as kt

from ..peers import WAIT_S, until
from .calls import Connect, Handlers, Serve, held, needs_epoll, threads


@needs_epoll
def test_what_a_receiver_runs_is_answered_before_the_server_goes(serve: Serve, connect: Connect, handlers: Handlers) -> None:
    """Within the drain time, and its thread goes, too."""
    server = serve(drain_s=2 * WAIT_S)
    future = held(connect(server), handlers)
    closer = threading.Thread(target=server.close)
    closer.start()
    other = connect(server)
    until(lambda: busy(other), "a closing server goes on taking calls")
    handlers.gate.set()
    assert future.result(WAIT_S)["by_a_receiver"]
    closer.join(2 * WAIT_S)
    assert not closer.is_alive()
    assert threads() == []


def busy(client: kt.Client) -> bool:
    return client.request(kt.Request("echo", timeout_s=WAIT_S)).body.get("code") == "busy"


@needs_epoll
def test_a_server_closes_while_a_receiver_is_stuck_in_a_handler(
    serve: Serve, connect: Connect, handlers: Handlers, caplog: pytest.LogCaptureFixture
) -> None:
    """Its port is free at once, and its thread goes once the handler has ended, whose answer is for nobody."""
    server = serve(drain_s=0.05)
    future = held(connect(server), handlers)
    server.close()
    assert len(threads()) == 1
    assert "closed with a handler still running" in caplog.text
    serve(server.endpoint)
    handlers.gate.set()
    until(lambda: len(threads()) == 1, "a thread of the server that was closed is left")
    with pytest.raises(kt.TransportError):
        future.result(WAIT_S)


@needs_epoll
def test_a_handler_that_a_receiver_runs_closes_its_server(serve: Serve, connect: Connect, handlers: Handlers) -> None:
    """It waits for nobody but the drain time, in which it itself runs."""
    server = serve(drain_s=0.05)
    client = connect(server)
    until(lambda: client.call("where")["by_a_receiver"], "no receiver runs anything")
    future = client.submit("close")
    until(lambda: handlers.held_by, "the server does not close")
    assert handlers.server is server
    serve(server.endpoint)
    until(lambda: len(threads()) == 1, "a thread of the server that was closed is left")
    with pytest.raises(kt.TransportError):
        future.result(WAIT_S)


def test_an_inline_handler_closes_its_server(serve: Serve, connect: Connect, handlers: Handlers) -> None:
    """Its answer is the last; the port is free a moment later."""
    closed = threading.Event()

    @kt.inline
    def close() -> dict[str, Any]:
        assert handlers.server is not None
        handlers.server.close()
        closed.set()
        return {"message": "closed"}

    server = serve(served={"close": close})
    assert connect(server).call("close")["message"] == "closed"
    assert closed.is_set()
    until(lambda: threads() == [], "a thread is left")
    serve(server.endpoint)


@pytest.mark.parametrize("before", [True, False], ids=["before it", "after it"])
def test_whoever_closes_beside_an_inline_handler_finds_the_server_closed(
    serve: Serve, connect: Connect, handlers: Handlers, before: bool
) -> None:
    """Neither waits for the other for ever, and the port is free when `close` comes back."""
    closing, closed = threading.Event(), threading.Event()

    def close_too() -> None:
        closing.set()
        server.close()
        closed.set()

    beside = threading.Thread(target=close_too)

    @kt.inline
    def close() -> dict[str, Any]:
        if before:
            beside.start()
            closing.wait(WAIT_S)
            until(lambda: busy_closing(server), "the other does not close")
        server.close()
        if not before:
            beside.start()
            closing.wait(WAIT_S)
        return {"message": "closed"}

    server = serve(served={"close": close})
    future = connect(server).submit("close")
    assert closed.wait(2 * WAIT_S)
    assert threads() == []
    serve(server.endpoint)
    assert future.result(WAIT_S)["message"] == "closed"
    beside.join(WAIT_S)


def busy_closing(server: kt.RunningServer) -> bool:
    locked: bool = server._server._closing.locked()  # type: ignore[attr-defined]
    return locked


def test_servers_leave_no_descriptor(serve: Serve, handlers: Handlers) -> None:
    """Whether a receiver was stuck or not."""

    def use() -> None:
        server = serve(drain_s=0.02)
        with kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S) as client:
            client.call("echo", {"value": 1})
            begun = len(handlers.held_by)
            client.submit("hold")
            until(lambda: len(handlers.held_by) > begun, "the call did not start")
            server.close()

    use()
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        use()
    until(lambda: len(os.listdir("/dev/fd")) <= before, "descriptors are left")
    handlers.gate.set()
    until(lambda: threads() == [], "threads are left")
