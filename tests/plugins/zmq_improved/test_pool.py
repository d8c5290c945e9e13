"""Sockets of a client: kept, shared by threads, bounded, and let go of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgpack
import pytest

import kato_transport as kt

from .conftest import Service
from .peers import WAIT_S, RawRouter, until


def request(method: str = "echo", timeout_s: float = WAIT_S, **params: Any) -> kt.Request:
    return kt.Request(method, params, timeout_s=timeout_s)


def test_calls_one_after_the_other_use_one_socket(
    serve: Callable[..., kt.RunningServer], connection: Callable[..., Any]
) -> None:
    """Errors in the answers change nothing about it."""
    connected = connection(serve().endpoint)
    for method in ["echo", "no such method"] * 50:
        connected.request(request(method))
    assert connected.stats()["connections"] == 1


def test_two_hundred_short_lived_threads_leave_few_sockets(
    serve: Callable[..., kt.RunningServer], connection: Callable[..., Any]
) -> None:
    """The original left two hundred."""
    connected = connection(serve().endpoint)
    answers: list[Any] = []

    def call(number: int) -> None:
        answers.append(connected.request(request(value=number)).body["value"])

    for first in range(0, 200, 8):
        threads = [threading.Thread(target=call, args=(number,)) for number in range(first, first + 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
    assert sorted(answers) == list(range(200))
    assert connected.stats()["connections"] <= 8


def test_more_callers_than_sockets_wait_for_one(serve: Callable[..., kt.RunningServer], connection: Callable[..., Any]) -> None:
    """Within their own time, and nobody is turned away."""
    connected = connection(serve().endpoint, max_connections=2)
    with ThreadPoolExecutor(32) as threads:
        answers = threads.map(lambda number: connected.request(request(value=number)).body["value"], range(640))
        assert list(answers) == list(range(640))
    assert connected.stats()["connections"] <= 2


def test_a_caller_waits_for_a_socket_within_its_own_time(
    serve: Callable[..., kt.RunningServer], connection: Callable[..., Any], service: Service
) -> None:
    """Then it hears that nothing was sent."""
    connected = connection(serve().endpoint, max_connections=1)
    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(connected.request, request("hold"))
        until(lambda: service.holding, "the call that holds the socket did not start")
        started = time.monotonic()
        with pytest.raises(kt.ConnectFailed, match="all 1 connections were in use; nothing was sent"):
            connected.request(request(timeout_s=0.1))
        assert 0.09 < time.monotonic() - started < WAIT_S
        service.gate.set()
        assert holding.result(WAIT_S).body["status"] == "okay"
    assert connected.request(request()).body["status"] == "okay"


def test_callers_that_wait_for_a_socket_get_one_in_turn(
    serve: Callable[..., kt.RunningServer], connection: Callable[..., Any]
) -> None:
    """However soon those who had one call again: in any other order, one of three waits for ever."""
    connected = connection(serve().endpoint, max_connections=1)
    counts = [0, 0, 0]
    ends = threading.Event()

    def call(number: int) -> None:
        while not ends.is_set():
            connected.request(request(value=number))
            counts[number] += 1
            if min(counts) >= 20:
                ends.set()

    with ThreadPoolExecutor(3) as threads:
        for calling in [threads.submit(call, number) for number in range(3)]:
            calling.result(4 * WAIT_S)
    assert min(counts) >= 20


def test_a_waiting_caller_is_told_when_the_client_is_closed(
    serve: Callable[..., kt.RunningServer], connection: Callable[..., Any], service: Service
) -> None:
    """And does not wait on."""
    connected = connection(serve().endpoint, max_connections=1)
    with ThreadPoolExecutor(2) as threads:
        threads.submit(connected.request, request("hold"))
        until(lambda: service.holding, "the call that holds the socket did not start")
        waiting = threads.submit(connected.request, request())
        connected.close()
        with pytest.raises(kt.ClientClosed):
            waiting.result(WAIT_S)
        service.gate.set()
    assert connected.stats()["connections"] == 0


def test_sockets_given_back_while_the_client_is_closed_are_closed_too(
    serve: Callable[..., kt.RunningServer], connection: Callable[..., Any]
) -> None:
    """Whichever of the two comes first."""
    endpoint = serve().endpoint
    for _ in range(10):
        connected = connection(endpoint)
        with ThreadPoolExecutor(4) as threads:
            calling = [threads.submit(call_until_closed, connected) for _ in range(4)]
            until(lambda connected=connected: connected.stats()["connections"] > 1, "the calls did not start")
            connected.close()
            assert [type(caller.result(WAIT_S)) for caller in calling] == [kt.ClientClosed] * 4
        assert connected.stats()["connections"] == 0


def call_until_closed(connected: Any) -> Exception:
    while True:
        try:
            connected.request(request())
        except kt.TransportError as exc:
            return exc


def test_a_call_that_timed_out_keeps_its_socket(
    serve: Callable[..., kt.RunningServer], connection: Callable[..., Any], service: Service
) -> None:
    """A late answer fits no other call, so nothing has to be rebuilt."""
    connected = connection(serve().endpoint, max_connections=1)
    connected.request(request())
    for _ in range(3):
        with pytest.raises(kt.CallTimeout):
            connected.request(kt.Request("hold", timeout_s=0.06, beyond_s=WAIT_S))  # or the server may say that it was late
    service.gate.set()
    for number in range(50):
        assert connected.request(request(value=number)).body["value"] == number
    assert connected.stats()["connections"] == 1


class LateRouter(RawRouter):
    """Keeps the answers to `late` back until the same socket asks what the server can do, and sends them before it says so."""

    def __init__(self) -> None:
        self.kept: list[list[bytes]] = []
        super().__init__()

    def _take(self, frames: list[bytes]) -> None:
        *envelope, data = frames
        message = msgpack.unpackb(data)
        if message.get("method") not in ("late", "echo"):
            for late in [late for late in self.kept if late[0] == envelope[0]]:
                self.kept.remove(late)
                self._socket.send_multipart(late)
            super()._take(frames)
            return
        answer = [*envelope, msgpack.packb({"status": "okay", **message["params"]})]
        if message["method"] == "echo":
            self._socket.send_multipart(answer)
        else:
            self.kept.append(answer)


def test_a_late_answer_is_not_taken_for_what_the_server_says_it_can_do(connection: Callable[..., Any]) -> None:
    """Or what it can do would be taken for the next call's answer, and every call would get the one before's for good."""
    with LateRouter() as router, ThreadPoolExecutor(2) as threads:
        connected = connection(router.endpoint, max_connections=1)
        connected.request(request("ping"))
        late = threads.submit(connected.request, request("late", timeout_s=1.0, value="late"))
        until(lambda: router.kept, "the call was not sent")
        connected._on_new_connection()  # as its companion says when it had to connect anew, and the callers' sockets had not
        following = threads.submit(connected.request, request(value="following"))  # waits for the only socket
        with pytest.raises(kt.CallTimeout):
            late.result(WAIT_S)
        assert following.result(WAIT_S).body["value"] == "following"
        assert router.kept == [], "the late answer did not come before"
        for number in range(5):
            assert connected.request(request(value=number)).body["value"] == number


def test_a_fresh_asynchronous_client_is_answered_at_its_first_call(serve: Callable[..., kt.RunningServer]) -> None:
    """However soon after connecting: the descriptor tells of the connection once only."""
    import asyncio

    server = serve()

    async def run() -> None:
        for number in range(100):
            async with kt.aconnect(server.endpoint, transport="improved", timeout_s=WAIT_S, connect_timeout_s=3.0) as client:
                assert (await client.call("echo", {"value": number}))["value"] == number

    asyncio.run(run())


def test_a_fresh_client_answers_its_first_future_as_soon(serve: Callable[..., kt.RunningServer]) -> None:
    """The same by threads."""
    server = serve()
    for number in range(50):
        with kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S, connect_timeout_s=3.0) as client:
            assert client.submit("echo", {"value": number}).result(WAIT_S)["value"] == number


def test_reconnections_are_counted(serve: Callable[..., kt.RunningServer], connection: Callable[..., Any]) -> None:
    """From the first one on."""
    server = serve()
    connected = connection(server.endpoint)
    for expected in (1, 2):
        assert connected.submit(request()).result(WAIT_S).body["status"] == "okay"
        server.close()
        server = serve(server.endpoint)
        until(lambda expected=expected: connected.stats()["reconnections"] == expected, "a reconnection was not counted")
