"""What a client that leaves in the middle, comes back or sends garbage can do to others: nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import zmq

import kato_transport as kt

from .doubles import WAIT_S, ScriptedProcessor, observation, until
from .raw import RawClient

PROMPT_S = 3.0
"""Far less than a stalled server takes, and enough for a loaded machine."""


def test_a_client_that_leaves_before_its_answer_stalls_nobody(
    improved: kt.RunningServer, processor: ScriptedProcessor, raw: Callable[[int, str], RawClient]
) -> None:
    """Its answer is dropped, and counted."""
    with RawClient(zmq.DEALER, improved.endpoint) as leaver:
        leaver.send({"method": "observe", "params": observation("slow", "x")})
        assert processor.slow_started.wait(WAIT_S)
    other = raw(zmq.DEALER, improved.endpoint)
    assert other.ask("ping")["message"] == "pong"
    processor.gate.set()
    until(lambda: improved.stats()["dropped"] == 1, "the answer of a client that is gone was not dropped")
    assert other.ask("get_name")["interval"] == 3


def test_a_req_client_that_leaves_before_its_answer_stalls_no_basic_server(
    closing: ExitStack, processor: ScriptedProcessor, raw: Callable[[int, str], RawClient]
) -> None:
    """REP has the next client's request before it."""
    server = closing.enter_context(kt.serve(processor, "tcp://127.0.0.1:0", transport="basic", drain_s=1.0))
    with RawClient(zmq.REQ, server.endpoint) as leaver:
        leaver.send({"method": "observe", "params": observation("slow", "x")})
        assert processor.slow_started.wait(WAIT_S)
    processor.gate.set()
    other = raw(zmq.REQ, server.endpoint)
    assert [other.ask("get_name")["interval"] for _ in range(3)] == [3, 3, 3]


def test_a_client_that_comes_back_under_its_old_identity_is_served(
    improved: kt.RunningServer, processor: ScriptedProcessor
) -> None:
    """The original's clients keep theirs over reconnects, and need not wait for the old connection to be noticed."""
    with RawClient(zmq.DEALER, improved.endpoint) as first, RawClient(zmq.DEALER, improved.endpoint) as second:
        assert first.ask("get_name")["interval"] == 2
        second.socket.disconnect(improved.endpoint)
        second.socket.identity = first.socket.identity
        second.socket.connect(improved.endpoint)
        assert second.ask("get_name")["interval"] == 2


def test_a_flood_of_garbage_costs_only_its_sender(improved: kt.RunningServer, raw: Callable[[int, str], RawClient]) -> None:
    """Somebody else's pings go on."""
    vandal, other = raw(zmq.DEALER, improved.endpoint), raw(zmq.DEALER, improved.endpoint)
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            vandal.socket.poll(10, zmq.POLLOUT)
            try:
                vandal.socket.send(b"\xc1garbage", zmq.DONTWAIT)
            except zmq.Again:
                continue

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        assert other.longest_ping(0.5) < PROMPT_S
        until(lambda: improved.stats()["malformed"] > 100, "there was no flood")
    finally:
        stop.set()
        thread.join()
