"""With others misbehaving beside it a client is answered all the same; the server counts what they do, and forgets them."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import msgpack
import pytest
import zmq

import kato_transport as kt
from bench.offenders import MIB, Offence, beside, declares, flood, garbage, giant, idle, sends, slow_reader, too_large
from kato_transport.testing.waiting import until
from kato_transport_zmq_improved.server import MOST_UNREAD

CALLS = 30
GENEROUS_S = 25.0
IDLE = 1_000
LIMIT = 4 * MIB
ONE_COPY = {"transport": "improved", "timeout_s": GENEROUS_S, "copies": 1, "breaker_failures": 0}
"""Options of a client that hides nothing of what it is answered."""

OFFENCES = {
    "a slow reader": (slow_reader, "dropped"),
    "a flood": (flood, "refused"),
    "garbage": (garbage, "malformed"),
    "frames of 1 GB announced": (declares(1024 * MIB), ""),
    "frames of 200 MB sent": (sends(200 * MIB), ""),
    "messages just too large": (too_large(LIMIT + 1), "malformed"),
    "idle connections": (idle(IDLE), ""),
}
"""What goes on, and the counter of the server that tells of it; libzmq cuts a connection off without telling anybody."""

Serve = Callable[..., kt.RunningServer]


@kt.inline
def echo(**params: Any) -> dict[str, Any]:
    return params


def pooled(**params: Any) -> dict[str, Any]:
    time.sleep(0.001)
    return params


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is entered here is let go of at the test's end, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(closing: ExitStack) -> Serve:
    """An improved server that soon forgets who is silent."""

    def serve(methods: dict[str, Callable[..., dict[str, Any]]], **options: Any) -> kt.RunningServer:
        options = {"heartbeat_interval_s": 0.1, "max_message_bytes": LIMIT, "drain_s": 1.0, **options}
        return closing.enter_context(kt.serve(methods, "tcp://127.0.0.1:0", transport="improved", **options))

    return serve


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Both ends of the idle connections are in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < 3 * IDLE:
        pytest.skip(f"this process may have no more than {before[1]} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 3 * IDLE), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize(("offence", "counter"), OFFENCES.values(), ids=list(OFFENCES))
def test_a_client_is_answered_beside_it(serve: Serve, offence: Offence, counter: str) -> None:
    """Inline and pooled, every time; and once the offender has left, nothing of it is left either."""
    server = serve({"echo": echo, "pooled": pooled}, client_queue_limit=50)
    before = descriptors()
    with kt.connect(server.endpoint, **ONE_COPY) as client, beside(offence, server.endpoint):
        for turn in range(CALLS):
            assert client.call("echo", {"value": turn})["value"] == turn
            assert client.call("pooled", {"value": turn})["value"] == turn
        if counter:
            until(lambda: server.stats()[counter] > 0, f"nothing was counted as {counter}", GENEROUS_S)
    until(lambda: server.stats()["clients"] == 0, "who has left was not forgotten", GENEROUS_S)
    until(lambda: server.stats()["on_workers"] == 0, "the work of who has left was not ended", GENEROUS_S)
    until(lambda: descriptors() <= before, "the connections of who has left were not closed", GENEROUS_S)


def test_who_asks_too_much_is_told_busy_and_nobody_else(serve: Serve, closing: ExitStack) -> None:
    """Exactly what is beyond `client_queue_limit` is refused; another client's calls find room."""
    gate = threading.Event()
    server = serve({"hold": lambda: {"held": gate.wait(GENEROUS_S)}, "pooled": pooled}, workers=11, client_queue_limit=10)
    closing.callback(gate.set)
    greedy = closing.enter_context(closing.enter_context(zmq.Context()).socket(zmq.DEALER))
    greedy.linger = 0
    greedy.connect(server.endpoint)
    for _ in range(500):
        greedy.send(msgpack.packb({"method": "hold"}))
    refused = [_answer(greedy) for _ in range(490)]
    assert {(answer["status"], answer.get("code")) for answer in refused} == {("error", "busy")}
    assert server.stats()["refused"] == 490
    with kt.connect(server.endpoint, **ONE_COPY) as other:
        assert [other.call("pooled", {"value": turn})["value"] for turn in range(CALLS)] == list(range(CALLS))
    gate.set()
    assert [_answer(greedy)["held"] for _ in range(10)] == [True] * 10


@pytest.mark.parametrize("sent", [1, 64 * 1024, 200 * MIB], ids=["a byte of it", "a little of it", "all of it"])
def test_a_frame_that_nobody_would_take_is_cut_off_at_its_announcement(serve: Serve, sent: int) -> None:
    """However little or much of it comes; no room is made for it."""
    server = serve({"echo": echo})
    assert giant(server.endpoint, 1024 * MIB if sent < MIB else sent, sent) < 100 * MIB


@pytest.mark.parametrize("in_buffers", [True, False], ids=["bytes in frames of their own", "a long text"])
def test_what_a_client_leaves_unread_is_bounded_in_bytes(serve: Serve, closing: ExitStack, in_buffers: bool) -> None:
    """More of its answers are dropped, and nobody else's; once it has read them there is room again."""
    size, asked = LIMIT // 2, 60
    value = bytes(size) if in_buffers else "x" * size
    server = serve({"large": kt.inline(lambda: {"value": value}), "echo": echo})
    slow = closing.enter_context(closing.enter_context(zmq.Context()).socket(zmq.DEALER))
    slow.linger, slow.rcvhwm = 0, 1
    slow.connect(server.endpoint)
    request = msgpack.packb({"method": "large", **({"buffers": []} if in_buffers else {})})
    for _ in range(asked):
        slow.send(request)
    until(lambda: server.stats()["requests"] == asked and not server.stats()["on_workers"], "not all is answered", GENEROUS_S)
    dropped = server.stats()["dropped"]
    assert asked - dropped >= MOST_UNREAD * LIMIT // size - 1
    assert asked - dropped < asked - 10
    with kt.connect(server.endpoint, **ONE_COPY) as other:
        assert len(other.call("large")["value"]) == size
    for _ in range(asked - dropped):
        _read(slow)
    until(lambda: _is_answered(slow, request), "there is no room for whoever has read everything", GENEROUS_S)


def _is_answered(sock: zmq.Socket[bytes], request: bytes) -> bool:
    sock.send(request)
    if not sock.poll(500):
        return False
    _read(sock)
    return True


def _read(sock: zmq.Socket[bytes]) -> None:
    assert sock.poll(int(GENEROUS_S * 1000)), "no answer"
    sock.recv_multipart()


def _answer(sock: zmq.Socket[bytes]) -> dict[str, Any]:
    assert sock.poll(int(GENEROUS_S * 1000)), "no answer"
    found: dict[str, Any] = msgpack.unpackb(sock.recv())
    return found
