"""Workers send their answers themselves while the server's thread has nothing to do: whatever crosses is taken in time."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

import kato_transport as kt
from kato_transport_zmq_improved import server as improved

from .peers import WAIT_S

CALLERS = 4
CALLS = 200


@pytest.fixture
def never_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's thread that looks after nothing of itself: what nobody tells it of stays where it is."""
    monkeypatch.setattr(improved, "TICK_MS", 600_000)


@pytest.fixture
def endpoint(never_looks: None, closing: ExitStack) -> str:
    @kt.inline
    def fast(value: int) -> dict[str, Any]:
        return {"value": value, "thread": threading.get_ident()}

    def slow(value: int) -> dict[str, Any]:
        return {"value": value, "thread": threading.get_ident()}

    server = closing.enter_context(kt.serve({"fast": fast, "slow": slow}, "tcp://127.0.0.1:0", transport="improved"))
    return server.endpoint


def test_calls_that_cross_the_answers_of_workers_are_taken(endpoint: str, closing: ExitStack) -> None:
    """A worker that sends may take in the news of a message, of which the descriptor then tells nobody else."""
    client = closing.enter_context(kt.connect(endpoint, transport="improved", timeout_s=WAIT_S))

    def call(number: int) -> list[int]:
        methods = ["slow", "slow", "fast"] if number % 2 else ["slow"]
        return [client.call(methods[value % len(methods)], {"value": value})["value"] for value in range(CALLS)]

    with ThreadPoolExecutor(CALLERS) as threads:
        assert list(threads.map(call, range(CALLERS))) == [list(range(CALLS))] * CALLERS


def test_many_calls_in_flight_cross_the_answers_of_workers(endpoint: str, closing: ExitStack) -> None:
    """Workers that find the socket in use leave their answers to the server's thread."""
    client = closing.enter_context(kt.connect(endpoint, transport="improved", timeout_s=WAIT_S))
    calls = [("fast" if value % 5 == 0 else "slow", {"value": value}) for value in range(5 * CALLS)]
    answers = client.call_many(calls)
    assert [answer["value"] for answer in answers if isinstance(answer, dict)] == list(range(len(calls)))
    assert len({answer["thread"] for answer in answers if isinstance(answer, dict)}) > 1


def test_a_call_that_comes_while_an_inline_handler_runs_beside_workers_is_taken(never_looks: None, closing: ExitStack) -> None:
    """The answer of the inline handler takes in the news of the call, of which the descriptor then tells nobody else."""
    gate, holding, running = threading.Event(), threading.Event(), threading.Event()
    closing.callback(gate.set)

    def hold() -> dict[str, Any]:
        holding.set()
        gate.wait(3 * WAIT_S)
        return {}

    @kt.inline
    def pause() -> dict[str, Any]:
        running.set()
        time.sleep(0.1)  # for the other call to arrive in
        return {}

    server = closing.enter_context(kt.serve({"hold": hold, "pause": pause}, "tcp://127.0.0.1:0", transport="improved"))
    closing.callback(gate.set)
    alone = {"copies": 1, "heartbeat_interval_s": 0.0}  # second copies and heartbeats would wake it, too
    clients = [
        closing.enter_context(kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S, **alone)) for _ in range(3)
    ]
    threads = closing.enter_context(ThreadPoolExecutor(2))
    for client in clients:
        client.call("ping")
    held = threads.submit(clients[0].call, "hold")
    assert holding.wait(WAIT_S)
    first = threads.submit(clients[1].call, "pause")
    assert running.wait(WAIT_S)
    assert clients[2].call("ping")["status"] == "okay"
    assert first.result(WAIT_S)["status"] == "okay"
    gate.set()
    assert held.result(WAIT_S)["status"] == "okay"


def test_an_answer_of_a_worker_that_outlives_its_server_is_for_nobody(never_looks: None, closing: ExitStack) -> None:
    """The socket is gone by then, and so is the pipe that it would wake by."""
    begun, gate, ended = threading.Event(), threading.Event(), threading.Event()
    closing.callback(gate.set)

    def hold() -> dict[str, Any]:
        begun.set()
        gate.wait(3 * WAIT_S)
        ended.set()
        return {}

    server = kt.serve({"hold": hold}, "tcp://127.0.0.1:0", transport="improved", drain_s=0.0)
    client = closing.enter_context(kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S))
    waiting = client.submit("hold")
    assert begun.wait(WAIT_S)
    server.close()
    descriptors = len(os.listdir("/dev/fd"))
    gate.set()
    assert ended.wait(WAIT_S)
    with pytest.raises(kt.TransportError):
        waiting.result(WAIT_S)
    assert len(os.listdir("/dev/fd")) <= descriptors
