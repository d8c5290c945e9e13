"""What was wrong with the original KATO transport layer, in the order of the contract's list: none of it is left."""

from __future__ import annotations

import gc
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import msgpack
import pytest
import zmq

import kato_transport as kt
from kato_transport.compat import ImprovedConnectionPool, ImprovedZMQClient, ZMQClient, ZMQConnectionPool

from ..contract.doubles import WAIT_S, ScriptedProcessor, observation, until
from ..contract.raw import RawClient
from .conftest import Running, port_of

PROMPT_S = 3.0
"""Far less than any of the faults took, and enough for a loaded machine."""

CLIENTS = pytest.mark.parametrize(
    ("client_class", "transport"), [(ZMQClient, "basic"), (ImprovedZMQClient, "improved")], ids=["basic", "improved"]
)
UNANSWERED = (TimeoutError, zmq.Again)


def test_fault_1_a_client_that_does_not_read_its_answers_stops_nobody(
    serve: Callable[..., kt.RunningServer], processor: ScriptedProcessor, raw: Callable[[int, str], RawClient]
) -> None:
    """It asks for ten thousand big answers; those that find no room are dropped and counted."""
    greed = 10_000
    processor.genes["classifier"] = "x" * 8_000
    server = serve(queue_limit=2 * greed, drain_s=0)
    greedy, other = raw(zmq.DEALER, server.endpoint), raw(zmq.DEALER, server.endpoint)
    greedy.socket.sndtimeo = int(4 * WAIT_S * 1000)
    request = msgpack.packb({"method": "get_gene", "params": {"gene_name": "classifier"}})
    for _ in range(greed):
        greedy.socket.send(request)
    assert other.longest_ping(0.5) < PROMPT_S
    until(lambda: server.stats()["on_workers"] == 0, "the server did not come to an end with the requests", 4 * WAIT_S)
    assert server.stats()["dropped"] > 0
    assert other.longest_ping(0.1) < PROMPT_S
    assert other.ask("get_stm")["short_term_memory"] == []


def test_fault_2_a_heartbeats_answer_is_not_taken_for_the_next_calls(
    serve: Callable[..., kt.RunningServer], raw: Callable[[int, str], RawClient]
) -> None:
    """The original's client sends it within `call`, and skips an answer that says `type: heartbeat`: it stays in step."""
    client = raw(zmq.DEALER, serve().endpoint)
    for turn in range(9):
        heartbeats = 1 if turn % 3 == 1 else 0
        if heartbeats:
            client.send({"type": "heartbeat", "timestamp": time.time()})
        client.send({"id": turn, "method": "observe", "params": observation(f"u{turn}", "x")})
        answers = [client.answer() for _ in range(1 + heartbeats)]
        calls = [answer for answer in answers if answer.get("type") != "heartbeat"]
        assert [(answer["unique_id"], answer["interval"]) for answer in calls] == [(f"u{turn}", turn + 1)]
    assert client.is_silent()


@CLIENTS
def test_fault_3_an_answer_that_comes_after_a_timeout_does_not_go_to_the_next_call(
    client_class: Any, transport: str, serve: Callable[..., kt.RunningServer], processor: ScriptedProcessor
) -> None:
    """The call that ran out of time is over; whoever calls next gets their own answer."""
    with client_class("127.0.0.1", port_of(serve(transport))) as client:
        client.get_name()
        with pytest.raises(UNANSWERED):
            client.call("observe", observation("slow", "x"), timeout=500)
        assert processor.slow_started.wait(WAIT_S)
        processor.gate.set()
        for turn in range(20):
            answer = client.observe(observation(f"u{turn}", "y"))
            assert (answer["unique_id"], answer["interval"]) == (f"u{turn}", turn + 2)


def test_fault_4_an_observe_that_timed_out_runs_once_and_not_three_times(
    serve: Callable[..., kt.RunningServer], processor: ScriptedProcessor
) -> None:
    """However many retries the client was made with: it may have run, and it had."""
    attempt_s = 0.5

    def end_during_a_third_attempt() -> None:
        processor.slow_started.wait(WAIT_S)
        time.sleep(2.2 * attempt_s)
        processor.gate.set()

    with ImprovedZMQClient("127.0.0.1", port_of(serve()), max_retries=3) as client, ThreadPoolExecutor(1) as threads:
        client.get_name()
        ended = threads.submit(end_during_a_third_attempt)
        client.timeout = int(attempt_s * 1000)
        with pytest.raises(TimeoutError):
            client.observe(observation("slow", "x"))
        ended.result(WAIT_S)
        client.timeout = int(WAIT_S * 1000)
        client.get_short_term_memory()  # asked of the same processor, so behind whatever had been sent before
        assert client.get_name()["interval"] == 1
        assert processor.observed == ["slow"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_fault_5_a_signal_to_a_forked_child_does_not_shut_the_parent_down(
    kato_transport: Callable[..., Running], number: signal.Signals
) -> None:
    """The child has the server's handlers, as it has everything else; the server goes on, and ends when it is told itself."""
    serving = kato_transport("--processor", "forking_engine:Engine")
    with kt.connect(serving.ready["zmq"], timeout_s=2 * WAIT_S) as client:
        child = client.call("get_gene", {"gene_name": "child"})["gene_value"]
        os.kill(child, number)
        assert client.call("get_gene", {"gene_name": "ended"})["gene_value"] == 0
        for _ in range(20):
            assert client.call("get_name")["message"] == "Engine"
    assert serving.process.poll() is None
    status, log = serving.end(signal.SIGTERM)
    assert (status, "draining" in log) == (0, True)


@pytest.mark.parametrize("kind", [zmq.REQ, zmq.DEALER], ids=["REQ", "DEALER"])
def test_fault_6_a_slow_observe_does_not_hold_up_everybodys_ping(
    serve: Callable[..., kt.RunningServer], processor: ScriptedProcessor, raw: Callable[[int, str], RawClient], kind: int
) -> None:
    """Nor a `get_name`, by which a gateway sees whether a processor is there."""
    server = serve()
    busy, other = raw(zmq.DEALER, server.endpoint), raw(kind, server.endpoint)
    busy.send({"method": "observe", "params": observation("slow", "x")})
    assert processor.slow_started.wait(WAIT_S)
    started = time.monotonic()
    for _ in range(20):
        assert other.ask("ping")["message"] == "pong"
        assert other.ask("get_name")["message"] == "Scripted"
    assert time.monotonic() - started < PROMPT_S
    processor.gate.set()
    assert busy.answer()["message"] == "observed"


@pytest.mark.parametrize("pool_class", [ZMQConnectionPool, ImprovedConnectionPool])
def test_fault_7_none_of_640_calls_of_32_threads_fails_on_a_default_pool(
    pool_class: Any, serve: Callable[..., kt.RunningServer], closing: ExitStack
) -> None:
    """Instead of "exhausted" at once, they wait for each other."""
    pool = pool_class("127.0.0.1", port_of(serve()))
    closing.callback(pool.shutdown)
    start = threading.Barrier(32)

    def twenty_calls(_: int) -> list[str]:
        start.wait(WAIT_S)
        return [pool.execute("get_name")["message"] for _ in range(20)]

    with ThreadPoolExecutor(32) as threads:
        assert list(threads.map(twenty_calls, range(32))) == [["Scripted"] * 20] * 32
    stats = pool.get_stats()
    assert (stats["total_requests"], stats["failed_requests"]) == (640, 0)
    assert pool_class is ZMQConnectionPool or stats["total_created"] <= 10


def test_fault_8_two_hundred_short_lived_threads_leave_no_connection_behind(
    serve: Callable[..., kt.RunningServer], closing: ExitStack
) -> None:
    """Nor are they counted as active for good."""
    pool = ZMQConnectionPool("127.0.0.1", port_of(serve()))
    closing.callback(pool.shutdown)
    pool.execute("get_name")
    descriptors, threads = open_descriptors(), threading.active_count()
    for _ in range(200):
        thread = threading.Thread(target=pool.execute, args=("get_name",))
        thread.start()
        thread.join(WAIT_S)
    stats = pool.get_stats()
    assert (stats["total_connections"], stats["active_connections"]) == (201, 1)
    assert threading.active_count() == threads
    assert open_descriptors() <= descriptors


@CLIENTS
def test_fault_9_with_no_server_a_call_does_not_fail_after_17_seconds_but_soon(
    client_class: Any, transport: str, nowhere: int
) -> None:
    """And a ping, which took five seconds, is false before a call would have failed."""
    with client_class("127.0.0.1", nowhere) as client:
        started = time.monotonic()
        with pytest.raises(UNANSWERED) as raised:
            client.get_name()
        assert time.monotonic() - started < 4.5  # its own time would be five seconds
        assert isinstance(raised.value.__cause__, kt.ConnectFailed)
        assert not client.is_connected()
        started = time.monotonic()
        assert client.ping() is False
        assert time.monotonic() - started < PROMPT_S


def test_fault_10_rest_is_http_1_1_over_one_connection_in_json_for_every_processor(
    serve: Callable[..., kt.RunningServer], rest_gateway: Callable[..., Running], closing: ExitStack
) -> None:
    """No ZeroMQ context per request, no page of HTML, no 404 for a query, no id ignored, no backlog of five."""
    server = serve("improved", ScriptedProcessor("p2", "Other"))
    gateway = rest_gateway(ZMQ_PORT=str(port_of(server)))
    web = http.client.HTTPConnection("127.0.0.1", gateway.ready["port"], timeout=2 * WAIT_S)
    closing.callback(web.close)
    statuses = {"/p1/ping": 200, "/p2/ping?x=1": 200, "/p3/ping": 404, "/p1/no/such/path": 404}
    sockets = set()
    for path, expected in list(statuses.items()) * 25:
        answer, body = get(web, path)
        sockets.add(web.sock)
        assert (answer.status, answer.version, answer.getheader("content-type")) == (expected, 11, "application/json")
        assert answer.getheader("content-length") == str(len(body))
        assert expected != 200 or json.loads(body)["processor"] == ("Other" if "p2" in path else "Scripted")
    assert len(sockets) == 1
    assert server.stats()["clients"] == 1
    assert answers_after_a_stop(gateway, 64) == [200] * 64


@pytest.mark.parametrize("transport", ["improved", "basic"])
def test_fault_11_zmq_port_and_implementation_reach_the_gateway(
    transport: str, serve: Callable[..., kt.RunningServer], rest_gateway: Callable[..., Running], closing: ExitStack
) -> None:
    """Nothing else tells it where the server is, and how it is spoken to."""
    gateway = rest_gateway(ZMQ_PORT=str(port_of(serve(transport))), KATO_ZMQ_IMPLEMENTATION=transport)
    web = http.client.HTTPConnection("127.0.0.1", gateway.ready["port"], timeout=2 * WAIT_S)
    closing.callback(web.close)
    web.request("POST", "/p1/observe", json.dumps(observation("u1", "a")))
    assert json.load(web.getresponse())["message"]["status"] == "observed"
    assert json.loads(get(web, "/p1/short-term-memory")[1])["message"] == [["a"]]


def get(web: http.client.HTTPConnection, path: str) -> tuple[http.client.HTTPResponse, bytes]:
    """An answer and its body."""
    web.request("GET", path)
    answer = web.getresponse()
    return answer, answer.read()


def answers_after_a_stop(gateway: Running, count: int) -> list[int]:
    """The statuses of as many connections as were made while the gateway accepted none: its backlog holds them."""
    gateway.process.send_signal(signal.SIGSTOP)
    try:
        address = ("127.0.0.1", gateway.ready["port"])
        connected = [socket.create_connection(address, timeout=2 * WAIT_S) for _ in range(count)]
    finally:
        gateway.process.send_signal(signal.SIGCONT)
    for each in connected:
        each.sendall(b"GET /kato-api/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return [status_of(each) for each in connected]


def status_of(connected: socket.socket) -> int:
    answer = http.client.HTTPResponse(connected)
    with connected, answer:
        answer.begin()
        return answer.status


def open_descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
