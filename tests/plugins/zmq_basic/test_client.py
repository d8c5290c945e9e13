"""The Lazy Pirate's side: a call that fails takes its socket with it, one that is answered leaves it for the next."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import zmq

import kato_transport as kt

WAIT_S = 5.0


def until(condition: Callable[[], Any], what: str, limit_s: float = 2 * WAIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is entered here is let go of at the test's end, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def gate(closing: ExitStack) -> threading.Event:
    """What `hold` waits for."""
    event = threading.Event()
    closing.callback(event.set)
    return event


@pytest.fixture
def server(closing: ExitStack, gate: threading.Event) -> kt.RunningServer:
    """Echoes, and holds calls back."""
    methods = {"echo": lambda value=None: {"value": value}, "hold": lambda: gate.wait(WAIT_S) and {}}
    made = closing.enter_context(kt.serve(methods, "tcp://127.0.0.1:0", transport="basic", drain_s=1.0))
    closing.callback(gate.set)
    return made


@pytest.fixture
def connection(closing: ExitStack) -> Callable[..., Any]:
    """The transport's own connection, which has `stats`."""

    def made(endpoint: str, **options: Any) -> Any:
        transport = kt.registry().transport("basic")
        connected = transport.connect(endpoint, kt.ClientOptions(codec=kt.registry().codec("msgpack"), **options))
        closing.callback(connected.close)
        return connected

    return made


def request(method: str = "echo", timeout_s: float = WAIT_S, **params: Any) -> kt.Request:
    return kt.Request(method, params, timeout_s=timeout_s)


def test_calls_one_after_the_other_use_one_socket(server: kt.RunningServer, connection: Callable[..., Any]) -> None:
    """Errors in the answers change nothing about it."""
    connected = connection(server.endpoint)
    for method in ["echo", "no such method"] * 50:
        connected.request(request(method))
    assert connected.stats() == {"connections": 1}


def test_a_call_that_timed_out_takes_its_socket_with_it(
    server: kt.RunningServer, connection: Callable[..., Any], gate: threading.Event
) -> None:
    """So that its late answer dies with it."""
    connected = connection(server.endpoint)
    connected.request(request())  # so that connecting takes nothing from the next call's time
    with pytest.raises(kt.CallTimeout):
        connected.request(kt.Request("hold", timeout_s=0.06, beyond_s=WAIT_S))  # or the server may say that it was late
    assert connected.stats() == {"connections": 0}
    gate.set()
    for number in range(20):
        assert connected.request(request(value=number)).body["value"] == number
    assert connected.stats() == {"connections": 1}


def test_two_hundred_short_lived_threads_leave_few_sockets(server: kt.RunningServer, connection: Callable[..., Any]) -> None:
    """As many as called at once, at most."""
    connected = connection(server.endpoint)
    answers: list[Any] = []
    for first in range(0, 200, 8):
        threads = [
            threading.Thread(target=lambda n=number: answers.append(connected.request(request(value=n)).body["value"]))
            for number in range(first, first + 8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
    assert sorted(answers) == list(range(200))
    assert connected.stats()["connections"] <= 8


def test_more_callers_than_sockets_wait_for_one(server: kt.RunningServer, connection: Callable[..., Any]) -> None:
    """Within their own time, and nobody is turned away."""
    connected = connection(server.endpoint, max_connections=10)
    with ThreadPoolExecutor(32) as threads:
        answers = threads.map(lambda number: connected.request(request(value=number)).body["value"], range(640))
        assert list(answers) == list(range(640))
    assert connected.stats()["connections"] <= 10


def test_a_server_that_restarts_is_found_again(closing: ExitStack) -> None:
    """By the same client, on the same port; a request that went down with the old server is made again where it may be."""
    served = kt.serve({"echo": dict}, "tcp://127.0.0.1:0", transport="basic")
    with kt.connect(served.endpoint, transport="basic", timeout_s=WAIT_S) as client:
        for _ in range(3):
            assert client.call("echo", idempotent=True)["status"] == "okay"
            served.close()
            served = closing.enter_context(kt.serve({"echo": dict}, served.endpoint, transport="basic"))
        assert client.call("echo", idempotent=True)["status"] == "okay"


def test_an_answer_of_several_frames_is_the_peers_mistake(connection: Callable[..., Any]) -> None:
    """`RemoteProtocolError`, and the next call is none the worse for it."""
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.linger = 0
        port = socket.bind_to_random_port("tcp://127.0.0.1")

        def answer() -> None:
            for frames in ([b"one", b"two"], [b"\x81\xa6status\xa4okay"]):
                socket.recv()
                socket.send_multipart(frames)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        connected = connection(f"tcp://127.0.0.1:{port}")
        with pytest.raises(kt.RemoteProtocolError, match="the answer has 2 frames"):
            connected.request(request())
        assert connected.request(request()).body == {"status": "okay"}
        thread.join(WAIT_S)


def test_a_client_may_be_closed_in_the_callback_of_its_own_future(server: kt.RunningServer, gate: threading.Event) -> None:
    """On one of the very threads that closing lets go of; every future ends, and no thread is left."""
    client = kt.connect(server.endpoint, transport="basic", timeout_s=WAIT_S)
    closed = threading.Event()

    def close(_: object) -> None:
        client.close()
        closed.set()

    first, *others = [client.submit("hold") for _ in range(3)]
    first.add_done_callback(close)
    gate.set()
    assert closed.wait(WAIT_S), "closing waits for the thread that it was called on"
    until(lambda: all(future.done() for future in (first, *others)), "a future was left without an end")
    until(lambda: not any(thread.name.startswith("kato-submit") for thread in threading.enumerate()), "a thread was left")
    with pytest.raises(kt.ClientClosed):
        client.call("echo")


@pytest.mark.parametrize("way", ["call", "submit", "close"])
def test_a_child_uses_an_inherited_client_and_the_parent_goes_on(server: kt.RunningServer, way: str) -> None:
    """In every way it was used before the fork."""
    with kt.connect(server.endpoint, transport="basic", timeout_s=WAIT_S) as client:

        def use() -> None:
            if way == "close":
                client.close()
            elif way == "submit":
                assert client.submit("echo", {"value": 1}).result(WAIT_S)["value"] == 1
            else:
                assert client.call("echo", {"value": 1})["value"] == 1

        client.submit("echo").result(WAIT_S)
        client.call("echo")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                use()
                code = 0
            finally:
                os._exit(code)
        status: list[int] = []
        until(lambda: status.append(0) or _ended(pid, status), "the child hangs")
        assert os.waitstatus_to_exitcode(status[-1]) == 0
        assert client.call("echo", {"value": 2})["value"] == 2
        assert client.submit("echo", {"value": 3}).result(WAIT_S)["value"] == 3


def _ended(pid: int, status: list[int]) -> bool:
    done, found = os.waitpid(pid, os.WNOHANG)
    status.append(found)
    return done != 0
