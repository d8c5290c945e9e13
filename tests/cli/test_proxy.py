"""`kato-transport proxy` between real clients and real servers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

import kato_transport as kt

from .conftest import Run, Running, Start

WAIT_S = 20.0
"""What anything here may take at most; a busy machine is slow to start processes."""
CLIENTS = 50
LONG_S = 50.0
"""The time of calls that are told their fate long before."""

ENGINE = """
import time

class Engine:
    id, name, time = "e1", "Engine", 0

    def observe(self, data):
        with open("observed", "a") as observed:
            print(data["unique_id"], file=observed)
        time.sleep(data["emotives"].get("hold_s", 0))
        return {"unique_id": data["unique_id"], "auto_learned_model": None}

    def learn(self):
        return ""

    def get_predictions(self, unique_id={}):
        return []

    def get_wm(self):
        return [["w"]]


def factory(settings):
    return Engine()
"""


class Upstream:
    """A server of an engine that writes down what it observes; comes back where it was."""

    def __init__(self, serve: Start, folder: Path) -> None:
        (folder / "engine.py").write_text(ENGINE)
        self._serve = serve
        self._folder = folder
        self._port = free_port()
        self.endpoint = f"tcp://127.0.0.1:{self._port}"

    def start(self, transport: str = "improved") -> Running:
        arguments = ("--no-rest", "--zmq-port", str(self._port), "--transport", transport, "--processor", "engine:factory")
        return self._serve(*arguments, cwd=self._folder)

    @property
    def observed(self) -> list[str]:
        """The ids of what was observed, in order."""
        path = self._folder / "observed"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def upstream(serve: Start, tmp_path: Path) -> Upstream:
    """Not started yet."""
    return Upstream(serve, tmp_path)


@pytest.fixture
def front(tmp_path: Path) -> str:
    """An endpoint that is known before anybody serves there."""
    return f"ipc://{tmp_path}/front"


@pytest.fixture
def proxy(start: Start) -> Callable[..., Running]:
    """Starts proxies: `proxy(upstream, endpoint)`."""

    def proxy(upstream: str, endpoint: str = "tcp://127.0.0.1:0", **environment: str) -> Running:
        return start("proxy", "--endpoint", endpoint, "--upstream", upstream, **environment)

    return proxy


@pytest.fixture
def echo() -> Iterator[kt.RunningServer]:
    """A server whose `echo` gives back what it is given."""
    with kt.serve({"echo": kt.inline(lambda value=None: {"value": value})}, "tcp://127.0.0.1:0") as server:
        yield server


@pytest.fixture
def connection() -> Iterator[Callable[..., Any]]:
    """The improved transport's own connection, which sends each request once: `connection(endpoint, **options)`."""
    with ExitStack() as closing:

        def made(endpoint: str, **options: Any) -> Any:
            transport = kt.registry().transport("improved")
            connected = transport.connect(endpoint, kt.ClientOptions(codec=kt.registry().codec("msgpack"), **options))
            closing.callback(connected.close)
            return connected

        yield made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def observation(unique_id: str, hold_s: float = 0.0) -> kt.Request:
    """An observation that the engine takes its time for."""
    params = {"strings": ["a"], "vectors": [], "emotives": {"hold_s": hold_s}, "unique_id": unique_id}
    return kt.Request("observe", params, timeout_s=LONG_S)


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait until the condition holds; fail with `what` where it does not in time."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def answered(connected: Any, request: kt.Request) -> bool:
    """Whether a call is answered; false where there is no server, or it went in the midst of it."""
    try:
        return bool(connected.request(request).body["status"] == "okay")
    except (kt.ConnectFailed, kt.ConnectionLost):
        return False


# --- whoever connects -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_the_ready_line_names_an_endpoint_that_answers(proxy, echo, front, scheme):
    """Port 0 becomes a real port."""
    running = proxy(echo.endpoint, front) if scheme == "ipc" else proxy(echo.endpoint)
    endpoint = running.ready["endpoint"]
    assert running.ready == {"ready": True, "endpoint": endpoint, "upstream": echo.endpoint, "pid": running.process.pid}
    with kt.connect(endpoint) as client:
        assert client.call("echo", {"value": 1})["value"] == 1


def test_calls_of_every_kind_go_through(proxy, echo):
    """One at a time, as futures, and many at once."""
    with kt.connect(proxy(echo.endpoint).ready["endpoint"], timeout_s=WAIT_S) as client:
        assert client.call("echo", {"value": "call"})["value"] == "call"
        assert client.submit("echo", {"value": "submit"}).result(WAIT_S)["value"] == "submit"
        many = client.call_many([("echo", {"value": n}) for n in range(500)])
        assert [answer["value"] for answer in many] == list(range(500))


def test_heartbeats_go_through_while_a_call_takes_its_time(proxy, upstream, connection):
    """Else the server would count as silent before it has answered."""
    upstream.start()
    connected = connection(proxy(upstream.endpoint).ready["endpoint"], heartbeat_interval_s=0.2, liveness=10)
    assert connected.submit(observation("slow", 3.0)).result(WAIT_S).body["unique_id"] == "slow"


def test_asynchronous_calls_go_through(proxy, echo):
    """Many at once, over one connection."""

    async def run() -> list[Any]:
        async with kt.aconnect(proxy(echo.endpoint).ready["endpoint"], timeout_s=WAIT_S) as client:
            answers = await asyncio.gather(*[client.call("echo", {"value": n}) for n in range(200)])
            return [answer["value"] for answer in answers]

    assert asyncio.run(run()) == list(range(200))


@pytest.mark.parametrize("transport", ["improved", "basic"])
def test_a_req_client_is_answered_in_the_basic_column(proxy, upstream, transport):
    """By a server of either transport."""
    upstream.start(transport)
    with kt.connect(proxy(upstream.endpoint).ready["endpoint"], transport="basic", timeout_s=WAIT_S) as client:
        assert client.call("get_stm") == {"status": "okay", "data": [["w"]]}


def test_katos_old_client_is_answered_in_one_frame(proxy, upstream):
    """In the improved column; its heartbeat, too."""
    upstream.start()
    with zmq.Context() as context, context.socket(zmq.DEALER) as old:
        old.linger = 0
        old.rcvtimeo = int(WAIT_S * 1000)
        old.connect(proxy(upstream.endpoint).ready["endpoint"])
        old.send(msgpack.packb({"type": "heartbeat", "timestamp": time.time()}))
        (heartbeat,) = old.recv_multipart()
        assert msgpack.unpackb(heartbeat)["type"] == "heartbeat"
        old.send(msgpack.packb({"id": 7, "method": "get_stm", "params": {}}))
        (answer,) = old.recv_multipart()
        assert msgpack.unpackb(answer) == {"status": "okay", "short_term_memory": [["w"]], "request_id": 7}


def test_ten_megabytes_go_through_both_ways(proxy, echo):
    """And are the same."""
    value = os.urandom(10_000_000)
    with kt.connect(proxy(echo.endpoint).ready["endpoint"], timeout_s=WAIT_S) as client:
        assert client.call("echo", {"value": value})["value"] == value


def test_fifty_processes_share_one_connection(proxy, echo):
    """The server has one peer; every process has its own answers."""
    endpoint = proxy(echo.endpoint).ready["endpoint"]
    children = [forked(endpoint, number) for number in range(CLIENTS)]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * CLIENTS
    assert echo.stats()["clients"] == 1


def forked(endpoint: str, number: int) -> int:
    """A child that calls, and ends with 0 where each answer was its own."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        with kt.connect(endpoint, timeout_s=WAIT_S) as client:
            for turn in range(5):
                assert client.call("echo", {"value": [number, turn]})["value"] == [number, turn]
        code = 0
    finally:
        os._exit(code)


def test_fifty_clients_with_many_calls_each_get_every_answer(proxy, echo):
    """None is dropped on the way, and none goes astray."""
    endpoint = proxy(echo.endpoint).ready["endpoint"]

    def values(number: int) -> list[Any]:
        with kt.connect(endpoint, timeout_s=WAIT_S) as client:
            return [answer["value"] for answer in client.call_many([("echo", {"value": [number, n]}) for n in range(40)])]

    with ThreadPoolExecutor(CLIENTS) as threads:
        assert list(threads.map(values, range(CLIENTS))) == [[[c, n] for n in range(40)] for c in range(CLIENTS)]


# --- a server that is not there ---------------------------------------------------------------------------------


def test_without_a_server_calls_are_refused_and_none_runs_later(proxy, upstream, front, connection):
    """`ConnectFailed` within the connect timeout; the first good answer comes once there is a server."""
    running = proxy(upstream.endpoint, front)
    connected = connection(front, connect_timeout_s=0.3)
    for _ in range(3):
        with pytest.raises(kt.ConnectFailed):
            connected.request(observation("early"))
    upstream.start()
    assert running.ready["endpoint"] == front
    until(lambda: answered(connected, observation("late")), "calls are not answered")
    assert upstream.observed == ["late"]


def test_calls_in_flight_are_lost_at_once_when_the_server_dies(proxy, upstream, connection):
    """None of them runs on the server that comes back, and whoever calls meanwhile is refused."""
    server = upstream.start()
    connected = connection(proxy(upstream.endpoint).ready["endpoint"], connect_timeout_s=0.3)
    with ThreadPoolExecutor(1) as threads:
        lost = threads.submit(connected.request, observation("lost", LONG_S))
        until(lambda: upstream.observed == ["lost"], "the call does not arrive")
        server.process.kill()
        with pytest.raises(kt.ConnectionLost):
            lost.result(WAIT_S)
    with pytest.raises((kt.ConnectFailed, kt.ConnectionLost)):
        connected.request(observation("meanwhile"))
    with pytest.raises(kt.ConnectFailed):
        connected.request(observation("meanwhile"))
    upstream.start()
    until(lambda: answered(connected, observation("after")), "calls are not answered again")
    assert upstream.observed == ["lost", "after"]


def test_answers_that_a_closing_server_still_gives_arrive(proxy, upstream, connection):
    """It drains, and so does what stands before it."""
    server = upstream.start()
    connected = connection(proxy(upstream.endpoint).ready["endpoint"])
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(connected.request, observation("last", 0.5))
        until(lambda: upstream.observed == ["last"], "the call does not arrive")
        assert server.end(signal.SIGTERM)[0] == 0
        assert answer.result(WAIT_S).body["unique_id"] == "last"


def test_a_server_that_has_fallen_silent_counts_as_gone(proxy, upstream, connection):
    """Its connection stands, as a stopped process's does; calls go on once it speaks again."""
    server = upstream.start()
    signs = {"KATO_TRANSPORT_HEARTBEAT_INTERVAL_S": "0.5", "KATO_TRANSPORT_LIVENESS": "4"}
    connected = connection(proxy(upstream.endpoint, **signs).ready["endpoint"], connect_timeout_s=0.3)
    until(lambda: answered(connected, observation("before")), "calls are not answered")
    server.process.send_signal(signal.SIGSTOP)
    os.waitpid(server.process.pid, os.WUNTRACED)  # until it has stopped indeed
    with pytest.raises(kt.ConnectionLost):
        connected.request(kt.Request("ping", timeout_s=LONG_S))
    with pytest.raises(kt.ConnectFailed):
        connected.request(kt.Request("ping", timeout_s=LONG_S))
    server.process.send_signal(signal.SIGCONT)
    until(lambda: answered(connected, kt.Request("ping", timeout_s=LONG_S)), "calls are not answered again")


def test_a_call_in_flight_when_the_proxy_dies_runs_once_and_is_answered(proxy, upstream, front):
    """Its next copy goes through the next proxy to the very server that runs it."""
    upstream.start()
    first = proxy(upstream.endpoint, front)
    assert first.ready
    with kt.connect(front, timeout_s=LONG_S, connect_timeout_s=WAIT_S) as client, ThreadPoolExecutor(1) as threads:
        held = observation("held", 3.0)
        answer = threads.submit(client.call, held.method, held.params)
        until(lambda: upstream.observed == ["held"], "the call does not arrive")
        first.process.kill()
        first.process.wait()
        assert proxy(upstream.endpoint, front).ready
        assert answer.result(WAIT_S)["unique_id"] == "held"
    assert upstream.observed == ["held"]


# --- its end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_once_what_is_in_flight_is_answered(proxy, upstream, connection, number):
    """With status 0."""
    upstream.start()
    running = proxy(upstream.endpoint)
    connected = connection(running.ready["endpoint"])
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(connected.request, observation("last", 1.0))
        until(lambda: upstream.observed == ["last"], "the call does not arrive")
        status, log = running.end(number)
        assert answer.result(WAIT_S).body["unique_id"] == "last"
    assert status == 0
    assert "Traceback" not in log


def test_a_second_signal_ends_it_at_once(proxy, upstream, connection):
    """Whatever is in flight; two of a kind may be one to the operating system, so these are two kinds."""
    upstream.start()
    running = proxy(upstream.endpoint, KATO_TRANSPORT_DRAIN_S=str(LONG_S))
    connected = connection(running.ready["endpoint"])
    with ThreadPoolExecutor(1) as threads:
        lost = threads.submit(connected.request, observation("lost", LONG_S))
        until(lambda: upstream.observed == ["lost"], "the call does not arrive")
        running.process.send_signal(signal.SIGTERM)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(WAIT_S) in (128 + signal.SIGTERM, 128 + signal.SIGINT)
        with pytest.raises(kt.ConnectionLost):
            lost.result(WAIT_S)


def test_a_signal_ends_it_while_it_waits_for_a_server(proxy, front):
    """With status 0, and without ever having been ready."""
    running = proxy(f"tcp://127.0.0.1:{free_port()}", front)
    assert "waiting for" in running.process.stderr.readline()
    assert running.end(signal.SIGTERM)[0] == 0


# --- what cannot be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "Missing option '--upstream'"),
        (("--upstream", "tcp://127.0.0.1:1", "--upstream", "tcp://127.0.0.1:2"), "must reach the same server"),
        (("--upstream", "nonsense"), "'nonsense'"),
        (("--upstream", "tcp://127.0.0.1:1", "--endpoint", "tcp://127.0.0.1:70000"), "there is no port 70000"),
    ],
)
def test_what_cannot_be_proxied_is_a_usage_error(run: Run, arguments, text):
    """Status 2, before anybody is waited for."""
    done = run("proxy", *arguments)
    assert done.returncode == 2
    assert text in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_an_endpoint_in_use_is_an_error_that_names_it(run: Run, echo):
    """Status 1, whether there is a server or not."""
    done = run("proxy", "--endpoint", echo.endpoint, "--upstream", "tcp://127.0.0.1:1")
    assert done.returncode == 1
    assert f"cannot serve at {echo.endpoint}" in done.stderr
    assert "Traceback" not in done.stderr
