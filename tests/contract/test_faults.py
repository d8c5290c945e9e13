"""What was wrong with the original: here is what a client that does not read, is late, or leaves can do. Nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import msgpack
import pytest
import zmq

import kato_transport as kt

from .doubles import WAIT_S, ScriptedProcessor, observation, until
from .raw import RawClient

BIG = "x" * 8_000
GREEDY = 10_000


def longest_ping(client: RawClient, seconds: float) -> float:
    """The longest that a ping took during that time."""
    longest, ends = 0.0, time.monotonic() + seconds
    while time.monotonic() < ends:
        started = time.monotonic()
        assert client.ask("ping")["message"] == "pong"
        longest = max(longest, time.monotonic() - started)
    return longest


def test_fault_1_a_client_that_never_reads_stalls_nobody(
    closing: ExitStack, processor: ScriptedProcessor, raw: Callable[[int, str], RawClient]
) -> None:
    """It asks for ten thousand big answers; those that find no room are dropped, and counted."""
    processor.genes["classifier"] = BIG
    server = closing.enter_context(
        kt.serve(processor, "tcp://127.0.0.1:0", transport="improved", queue_limit=2 * GREEDY, drain_s=0)
    )
    greedy, other = raw(zmq.DEALER, server.endpoint), raw(zmq.DEALER, server.endpoint)
    greedy.socket.sndtimeo = int(WAIT_S * 1000)
    request = msgpack.packb({"method": "get_gene", "params": {"gene_name": "classifier"}})
    for _ in range(GREEDY):
        greedy.socket.send(request)
    assert longest_ping(other, 0.5) < 1.0
    until(lambda: server.stats()["on_workers"] == 0, "the server did not come to an end with the requests")
    assert server.stats()["dropped"] > 0
    assert longest_ping(other, 0.1) < 1.0
    assert other.ask("get_stm")["short_term_memory"] == [["c"]]


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


def test_fault_3_a_late_answer_never_reaches_the_next_call(processor: ScriptedProcessor, improved: kt.RunningServer) -> None:
    """The call that timed out is over; whoever calls next gets their own answer."""
    with kt.connect(improved.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        with pytest.raises(kt.CallTimeout):
            client.call("observe", observation("slow", "x"), timeout_s=0.2)
        processor.gate.set()
        until(lambda: client.call("get_name")["interval"] == 3, "the slow observation never ended")
        for turn in range(20):
            assert client.call("observe", observation(f"u{turn}", "y"))["unique_id"] == f"u{turn}"


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
        assert longest_ping(other, 0.5) < 1.0
    finally:
        stop.set()
        thread.join()
    assert improved.stats()["malformed"] > 100
