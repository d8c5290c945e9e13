"""Whoever receives a request may run it, while another receiver is there for the next: nothing is held up or lost."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

import kato_transport as kt
from kato_transport.zeromq import descriptor
from kato_transport_zmq_improved.receiving import RECEIVERS

from ..peers import WAIT_S, until
from .calls import Connect, Handlers, Serve, by_a_receiver, held, needs_epoll, threads
from .conftest import ALONE

CALLERS = 8
CALLS = 250


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
    random = Random(workers)

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


@needs_epoll
def test_what_a_receiver_takes_in_while_it_answers_is_received(serve: Serve, connect: Connect, handlers: Handlers) -> None:
    """An answer that is sent while the next request arrives takes the news of that in, and the descriptor is silent."""
    later: list[Future[Any]] = []

    @kt.inline
    def meanwhile() -> dict[str, Any]:
        poll = select.poll()
        poll.register(descriptor(server._server._socket), select.POLLIN)  # type: ignore[attr-defined]
        later.append(other.submit("inline", {"value": 1}))
        assert poll.poll(1000 * WAIT_S)
        return {}

    server = serve(served={**handlers.methods(), "meanwhile": meanwhile})
    client, other = connect(server), connect(server)
    held(client, handlers)
    other.submit("inline", {"value": 0}).result(WAIT_S)
    for _ in range(20):
        client.call("meanwhile")
        assert later.pop().result(WAIT_S)["value"] == 1


@needs_epoll
def test_a_receiver_outlives_what_interrupts_it(
    serve: Serve, connect: Connect, handlers: Handlers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As often as that happens, and whatever lay there is received."""
    server = serve()
    client = connect(server)
    held(client, handlers)
    failures = iter(range(2 * RECEIVERS))
    sweep = server._server._sweep  # type: ignore[attr-defined]

    def interrupted() -> None:
        for _ in failures:
            raise MemoryError
        sweep()

    monkeypatch.setattr(server._server, "_sweep", interrupted)  # type: ignore[attr-defined]
    assert [client.call("echo", {"value": value})["value"] for value in range(20)] == list(range(20))
    until(lambda: caplog.text.count("it goes on") == 2 * RECEIVERS, "not as often as it was interrupted")


def test_one_worker_is_one_thread(serve: Serve, connect: Connect) -> None:
    """Handlers may keep what belongs to a thread, as a connection of `sqlite3` does."""
    seen: set[int] = set()

    def note() -> dict[str, Any]:
        seen.add(threading.get_ident())
        return {}

    client = connect(serve(served={"note": note}, workers=1))
    for _ in range(50):
        client.call("note")
    assert len(seen) == 1
