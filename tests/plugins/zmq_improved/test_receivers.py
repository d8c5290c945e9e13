"""Whoever receives a request may run it, while another receiver is there for the next: nothing is held up or lost."""

from __future__ import annotations

import os
import random
import select
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

import kato_transport as kt
from kato_transport.testing.sections.forking import needs_fork
from kato_transport_zmq_improved import server as improved
from kato_transport_zmq_improved.receiving import RECEIVERS

from .peers import WAIT_S, until

CALLERS = 8
CALLS = 250
ALONE: dict[str, Any] = {"copies": 1, "heartbeat_interval_s": 0.0}
"""For clients: second copies and heartbeats would wake a server that has missed something."""
needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="one receiver is all there is without epoll")


def threads(kind: str = "") -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"kato-improved-{kind}")]


def by_a_receiver() -> bool:
    return threading.current_thread() in threads("server")


class Handlers:
    """What is called, and what the calls found."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.held_by: list[bool] = []
        self.seen: list[int] = []
        self.server: kt.RunningServer | None = None

    def methods(self) -> dict[str, Callable[..., dict[str, Any]]]:
        inline = kt.inline(lambda value=None: {"value": value})
        return {"where": self.where, "hold": self.hold, "echo": self.echo, "inline": inline, "close": self.close}

    def where(self) -> dict[str, Any]:
        return {"by_a_receiver": by_a_receiver()}

    def echo(self, value: int = 0) -> dict[str, Any]:
        return {"value": value}

    def hold(self) -> dict[str, Any]:
        self.held_by.append(by_a_receiver())
        self.gate.wait(3 * WAIT_S)
        return {"by_a_receiver": by_a_receiver()}

    def close(self) -> dict[str, Any]:
        assert self.server is not None
        self.server.close()
        self.held_by.append(by_a_receiver())
        return {}


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
def serve(handlers: Handlers, closing: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., kt.RunningServer]:
    """A server whose receivers look after nothing of themselves: what nobody tells them of stays where it is."""
    monkeypatch.setattr(improved, "TICK_MS", 600_000)

    def made(endpoint: str = "tcp://127.0.0.1:0", served: Any = None, **options: Any) -> kt.RunningServer:
        server = kt.serve(served or handlers.methods(), endpoint, transport="improved", **{"drain_s": 1.0, **options})
        handlers.server = server
        closing.callback(server.close)
        closing.callback(handlers.gate.set)
        return server

    return made


@pytest.fixture
def connect(closing: ExitStack) -> Callable[[kt.RunningServer], kt.Client]:
    def made(server: kt.RunningServer) -> kt.Client:
        return closing.enter_context(kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S, **ALONE))

    return made


Serve = Callable[..., kt.RunningServer]
Connect = Callable[[kt.RunningServer], kt.Client]


def held(client: kt.Client, handlers: Handlers) -> Future[Any]:
    """A call that a receiver runs, and that lasts until the gate opens."""
    for _ in range(50):
        begun = len(handlers.held_by)
        future = client.submit("hold")
        until(lambda begun=begun: len(handlers.held_by) > begun, "the call did not start")
        if handlers.held_by[-1]:
            return future
        handlers.gate.set()
        future.result(WAIT_S)
        handlers.gate.clear()
    pytest.fail("no receiver runs anything")


def test_inline_handlers_need_one_thread(serve: Serve, connect: Connect) -> None:
    """However many calls there are."""
    client = connect(serve())
    for value in range(20):
        assert client.call("inline", {"value": value})["value"] == value
    assert len(threads()) == 1


@needs_epoll
def test_who_receives_a_request_runs_it(serve: Serve, connect: Connect) -> None:
    """Once there are several of them."""
    client = connect(serve())
    until(lambda: client.call("where")["by_a_receiver"], "no receiver runs anything")
    assert len(threads("server")) == RECEIVERS


@needs_epoll
def test_a_handler_that_a_receiver_runs_holds_up_nobody(serve: Serve, connect: Connect, handlers: Handlers) -> None:
    """Calls inline, of workers and in flight are answered, and it is one that is under way."""
    server = serve()
    client, other = connect(server), connect(server)
    future = held(client, handlers)
    for value in range(20):
        assert other.call("ping")["status"] == "okay"
        assert other.call("inline", {"value": value})["value"] == value
        assert other.call("echo", {"value": value})["value"] == value
        assert client.submit("echo", {"value": value}).result(WAIT_S)["value"] == value
    assert server.stats()["on_workers"] == 1
    handlers.gate.set()
    assert future.result(WAIT_S)["status"] == "okay"
    until(lambda: server.stats()["on_workers"] == 0, "something is taken for under way")


def test_however_many_handlers_block_signs_of_life_are_answered(serve: Serve, connect: Connect, handlers: Handlers) -> None:
    """As many as may run, and as many again that wait."""
    server = serve(workers=3)
    client, other = connect(server), connect(server)
    until(lambda: client.call("echo", {"value": 1})["value"] == 1, "nothing is answered")
    futures = [client.submit("hold") for _ in range(6)]
    until(lambda: len(handlers.held_by) == 3 and server.stats()["on_workers"] == 6, "the calls did not start")
    for _ in range(20):
        assert other.call("ping")["status"] == "okay"
        assert other.call("inline", {"value": 1})["value"] == 1
    assert len(handlers.held_by) == 3
    handlers.gate.set()
    assert all(future.result(WAIT_S)["status"] == "okay" for future in futures)


def test_nothing_is_lost_between_callers(serve: Serve, connect: Connect) -> None:
    """Of several clients, one at a time and in flight, inline and not."""
    server = serve()

    def call(number: int) -> list[int]:
        client = connect(server)
        if number % 4 == 3:
            answers = client.call_many([("inline" if value % 5 == 0 else "echo", {"value": value}) for value in range(CALLS)])
            return [answer["value"] for answer in answers if isinstance(answer, dict)]
        methods = ["echo", "echo", "inline"] if number % 2 else ["echo"]
        return [client.call(methods[value % len(methods)], {"value": value})["value"] for value in range(CALLS)]

    with ThreadPoolExecutor(CALLERS) as pool:
        assert list(pool.map(call, range(CALLERS))) == [list(range(CALLS))] * CALLERS
    until(lambda: server.stats()["on_workers"] == 0, "something is taken for under way")


@pytest.mark.parametrize("workers", [1, 16])
def test_nothing_is_lost_of_a_client_that_does_everything(serve: Serve, connect: Connect, workers: int) -> None:
    """Few calls at a time, of which some take a moment: whoever sends takes in the news of the next."""

    def nap(value: int) -> dict[str, Any]:
        time.sleep(random.random() / 2_000)
        return {"value": value}

    methods = {"nap": nap, "echo": lambda value: {"value": value}, "inline": kt.inline(lambda value: {"value": value})}
    client = connect(serve(served=methods, workers=workers))
    for _ in range(CALLS):
        for value in range(5):
            assert client.call(random.choice(["echo", "echo", "nap", "inline"]), {"value": value})["value"] == value
        futures = [client.submit(random.choice(["echo", "nap"]), {"value": value}) for value in range(3)]
        assert [future.result(WAIT_S)["value"] for future in futures] == [0, 1, 2]
        calls = [(random.choice(list(methods)), {"value": value}) for value in range(random.choice([2, 5, 20]))]
        assert [item["value"] for item in client.call_many(calls) if isinstance(item, dict)] == list(range(len(calls)))


class InLanes:
    """Requests of one lane each, which note what they find."""

    def __init__(self) -> None:
        self.done: dict[str, list[int]] = {"a": [], "b": []}
        self.running: dict[str, int] = {"a": 0, "b": 0}
        self.overlaps = 0

    def __call__(self, request: kt.Request) -> kt.Response:
        lane = self.lane(request)
        self.running[lane] += 1
        self.overlaps += self.running[lane] > 1
        self.done[lane].append(request.params["value"])
        self.running[lane] -= 1
        return kt.Response.okay(by_a_receiver=by_a_receiver())

    def lane(self, request: kt.Request) -> str:
        return str(request.params["lane"])


def test_lanes_stay_in_order_whoever_runs_them(serve: Serve, connect: Connect) -> None:
    """Sent by one client, so that they come in order."""
    service = InLanes()
    client = connect(serve(served=service))
    calls = [("m", {"lane": "ab"[value % 2], "value": value}) for value in range(CALLS)]
    found: list[Any] = []
    for start in range(0, CALLS, 10):  # a few in flight, so that receivers run some and workers others
        found += client.call_many(calls[start : start + 10])
    assert all(isinstance(answer, dict) for answer in found)
    assert service.done == {"a": list(range(0, CALLS, 2)), "b": list(range(1, CALLS, 2))}
    assert service.overlaps == 0


@needs_epoll
def test_what_a_receiver_runs_is_one_of_its_clients_share(
    serve: Serve, connection: Callable[..., Any], handlers: Handlers
) -> None:
    """Another of that client is refused meanwhile."""
    connected = connection(serve(client_queue_limit=1).endpoint, **ALONE)

    def runs(method: str) -> bool:
        begun = len(handlers.held_by)
        answer = connected.submit(kt.Request(method, timeout_s=3 * WAIT_S))
        until(lambda: answer.done() or len(handlers.held_by) > begun, "neither run nor refused")
        return not answer.done() or answer.result().body["status"] == "okay"

    for _ in range(20):
        until(lambda: runs("where"), "no room came about")  # an answer leaves a moment before its call has ended
    until(lambda: runs("hold"), "no room came about")
    for _ in range(20):
        assert not runs("where")
    handlers.gate.set()
    until(lambda: runs("where"), "no room came about")


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


@pytest.mark.parametrize("short_of", ["epoll", "threads"])
def test_one_receiver_is_enough(
    serve: Serve, connect: Connect, handlers: Handlers, monkeypatch: pytest.MonkeyPatch, short_of: str
) -> None:
    """Where there is no epoll, or no second thread to be had: workers do the rest."""
    if short_of == "epoll":
        monkeypatch.delattr(select, "epoll", raising=False)
    server = serve()
    if short_of == "threads":
        start = threading.Thread.start

        def refuse(thread: threading.Thread) -> None:
            if thread.name == "kato-improved-server":
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refuse)
    client = connect(server)
    assert not any(client.call("where")["by_a_receiver"] for _ in range(20))
    future = client.submit("hold")
    until(lambda: handlers.held_by, "the call did not start")
    answers = client.call_many([("echo", {"value": value}) for value in range(CALLS)])
    assert [answer["value"] for answer in answers if isinstance(answer, dict)] == list(range(CALLS))
    assert client.call("inline", {"value": 1})["value"] == 1
    handlers.gate.set()
    assert future.result(WAIT_S)["status"] == "okay"
    assert len(threads("server")) == 1
    server.close()
    assert threads() == []


@needs_fork
@needs_epoll
@pytest.mark.parametrize("inline", [True, False], ids=["inline", "pooled"])
def test_a_handler_that_forks_goes_on_in_the_parent_only(
    serve: Serve, connect: Connect, closing: ExitStack, inline: bool
) -> None:
    """The child's copy answers nobody, and takes none of the parent's messages."""

    def end(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def fork() -> dict[str, Any]:
        pid = os.fork()
        if pid:
            closing.callback(end, pid)
        return {"pid": os.getpid(), "by_a_receiver": by_a_receiver()}

    methods = {"fork": kt.inline(fork) if inline else fork, "echo": lambda value: {"value": value}}
    client = connect(serve(served=methods))
    until(lambda: client.call("fork")["by_a_receiver"], "no receiver runs anything")
    for value in range(20):
        assert client.call("fork")["pid"] == os.getpid()
        assert client.call("echo", {"value": value})["value"] == value
