"""An old server replaced by a new one on the same port, and the other way round: clients go on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

import kato_transport as kt

from .conftest import prime
from .doubles import WAIT_S, ScriptedProcessor, observation, until
from .old_servers import OldBasicServer, OldImprovedServer, OldServer

CALLS = 100


class Port:
    """One port, held by one server after the other."""

    def __init__(self, transport: str, closing: ExitStack) -> None:
        self.transport = transport
        self.endpoint = "tcp://127.0.0.1:0"
        self.old: OldServer | None = None
        self._closing = closing
        self._holder: Any = None

    def serve_new(self, served: Sequence[ScriptedProcessor] = ()) -> None:
        self._free()
        if not served:
            served = [ScriptedProcessor()]
            prime(served[0])
        until(lambda: self._served_new(served), f"{self.endpoint} stays in use")

    def serve_old(self) -> None:
        self._free()
        self.old = self._holder = (
            OldImprovedServer(self.endpoint) if self.transport == "improved" else OldBasicServer(self.endpoint)
        )
        self.endpoint = self._holder.endpoint
        self._closing.callback(self._holder.close)

    def _served_new(self, served: Sequence[ScriptedProcessor]) -> bool:
        try:
            self._holder = kt.serve(served, self.endpoint, transport=self.transport, drain_s=1.0)
        except kt.BindFailed:
            return False
        self.endpoint = self._holder.endpoint
        self._closing.callback(self._holder.close)
        return True

    def _free(self) -> None:
        if self._holder is not None:
            self._holder.close()


@pytest.fixture(params=["improved", "basic"])
def port(request: pytest.FixtureRequest) -> Iterator[Port]:
    """A port for servers of one transport."""
    with ExitStack() as closing:
        yield Port(request.param, closing)


@pytest.fixture
def improved_port() -> Iterator[Port]:
    """A port for improved servers."""
    with ExitStack() as closing:
        yield Port("improved", closing)


ORDERS: dict[str, tuple[Callable[[Port], None], ...]] = {
    "new, old, new": (Port.serve_new, Port.serve_old, Port.serve_new),
    "old, new, old": (Port.serve_old, Port.serve_new, Port.serve_old),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
def test_a_client_goes_on_whichever_server_takes_over(port: Port, order: tuple[Callable[[Port], None], ...]) -> None:
    """Each call gets its own answer, of whichever server is there."""
    with ExitStack() as stack:
        client: kt.Client | None = None
        for turn, take_over in enumerate(order):
            take_over(port)
            if client is None:
                client = stack.enter_context(kt.connect(port.endpoint, transport=port.transport, timeout_s=WAIT_S))
            assert client.call("get_name")["message"] in ("Old", "Scripted")
            for call in range(10):
                name = f"u{turn}.{call}"
                assert client.call("observe", observation(name, "x"))["unique_id"] == name


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
def test_an_asynchronous_client_goes_on_whichever_server_takes_over(
    port: Port, order: tuple[Callable[[Port], None], ...]
) -> None:
    """The same, with many tasks at once."""

    async def run() -> None:
        client: kt.AsyncClient | None = None
        for turn, take_over in enumerate(order):
            await asyncio.to_thread(take_over, port)
            if client is None:
                client = kt.aconnect(port.endpoint, transport=port.transport, timeout_s=WAIT_S)
            assert (await client.call("get_name"))["message"] in ("Old", "Scripted")
            names = [f"u{turn}.{call}" for call in range(10)]
            answers = await asyncio.gather(*(client.call("observe", observation(name, "x")) for name in names))
            assert [answer["unique_id"] for answer in answers] == names
        assert client is not None
        await client.close()

    asyncio.run(run())


def test_many_calls_to_an_old_server_that_took_over_leave_no_answer_behind(improved_port: Port) -> None:
    """Each correlated request earns an error that tells nobody whose it is; none may meet a later call."""
    improved_port.serve_new()
    with kt.connect(improved_port.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        assert all(isinstance(item, dict) for item in client.call_many([("get_name", {})] * CALLS))
        improved_port.serve_old()
        outcomes = client.call_many([("get_name", {})] * CALLS)
        answered = [item for item in outcomes if isinstance(item, dict)]
        assert all(item["message"] == "Old" for item in answered)
        assert {type(item) for item in outcomes} <= {dict, kt.ConnectionLost}
        for turn in range(CALLS):
            assert client.call("observe", observation(f"u{turn}", "x"))["unique_id"] == f"u{turn}"


def test_a_correlated_call_that_timed_out_at_an_old_server_leaves_no_answer_behind(improved_port: Port) -> None:
    """Its error comes late, in one frame; it is nobody's answer."""
    improved_port.serve_new()
    with kt.connect(improved_port.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        client.call("get_name")
        improved_port.serve_old()
        old = improved_port.old
        assert old is not None
        stuck = background(_hold_up, improved_port.endpoint)
        until(lambda: "ping" in old.ran, "the old server is not held up")
        with pytest.raises(kt.CallTimeout):
            client.request(kt.Request("get_name", timeout_s=1.0))
        old.release.set()
        stuck.result(WAIT_S)
        for turn in range(20):
            assert client.call("observe", observation(f"u{turn}", "x"))["unique_id"] == f"u{turn}"


def test_tasks_in_flight_at_an_old_server_that_took_over_leave_no_answer_behind(improved_port: Port) -> None:
    """Their errors come one after the other, while the next calls are made already."""
    improved_port.serve_new()

    async def run() -> None:
        async with kt.aconnect(improved_port.endpoint, transport="improved", timeout_s=WAIT_S) as client:
            await client.call("get_name")
            await asyncio.to_thread(improved_port.serve_old)
            assert improved_port.old is not None
            improved_port.old.pause_s = 0.05
            unread = [client.request(kt.Request("get_name")) for _ in range(5)]
            outcomes = await asyncio.gather(*unread, return_exceptions=True)
            assert all(isinstance(outcome, (kt.ConnectionLost, kt.Response)) for outcome in outcomes)
            for _ in range(5):
                assert (await client.call("get_name"))["message"] == "Old"

    asyncio.run(run())


def test_threads_that_find_an_old_server_in_place_of_a_new_one_all_go_on(improved_port: Port) -> None:
    """It could not read what they sent, so it has run nothing; and none breaks off what another has begun."""
    improved_port.serve_new()
    with (
        kt.connect(improved_port.endpoint, transport="improved", timeout_s=WAIT_S) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        met = threading.Barrier(8)

        def call(turn: int) -> str:
            met.wait(WAIT_S)
            return client.call("observe", observation(f"u{turn}", "x"))["unique_id"]

        assert len(set(threads.map(call, range(8)))) == 8
        improved_port.serve_old()
        assert improved_port.old is not None
        improved_port.old.pause_s = 0.01
        until(lambda: _answers(client, "old"), "the old server was not found")
        assert list(threads.map(call, range(8))) == [f"u{turn}" for turn in range(8)]
        assert improved_port.old.ran.count("observe") == 8


@pytest.mark.parametrize("asynchronous", [False, True], ids=["Client", "AsyncClient"])
def test_a_client_of_an_old_server_that_is_upgraded_asks_many_at_once_again(improved_port: Port, asynchronous: bool) -> None:
    """What the server can do is asked again once the connection has broken; an upgrade needs no restart of its clients."""
    improved_port.serve_old()
    wanted = 4
    calls = [("observe", observation(f"slow{turn}", "x"), f"p{turn}") for turn in range(wanted)]
    served = [ScriptedProcessor(f"p{turn}") for turn in range(wanted)]

    def upgrade() -> None:
        improved_port.serve_new(served)

    def all_run() -> None:
        """Each processor is a lane of its own, so all of them wait at their gates at once."""
        try:
            for processor in served:
                assert processor.slow_started.wait(WAIT_S / 2), "the calls were made one after the other"
        finally:
            for processor in served:
                processor.gate.set()

    async def run() -> None:
        async with kt.aconnect(improved_port.endpoint, transport="improved", timeout_s=WAIT_S) as client:
            await client.call("get_name")
            await asyncio.to_thread(upgrade)
            await client.call("get_name")
            tasks = [asyncio.create_task(client.call(method, params, processor_id=p)) for method, params, p in calls]
            await asyncio.to_thread(all_run)
            assert [answer["id"] for answer in await asyncio.gather(*tasks)] == [f"p{turn}" for turn in range(wanted)]

    if asynchronous:
        asyncio.run(run())
        return
    with kt.connect(improved_port.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        client.submit("get_name").result(WAIT_S)
        upgrade()
        until(lambda: _answers(client, "p0"), "the new server was not found")
        futures = [client.submit(method, params, processor_id=p) for method, params, p in calls]
        all_run()
        assert [future.result(WAIT_S)["id"] for future in futures] == [f"p{turn}" for turn in range(wanted)]


def _answers(client: kt.Client, server_id: str) -> bool:
    """Whether the server that has taken over is the one that a future finds: callers' own sockets are left untried."""
    try:
        return bool(client.submit("get_name").result(WAIT_S)["id"] == server_id)
    except kt.ConnectionLost:
        return False


def background(function: Callable[[str], None], endpoint: str) -> Future[None]:
    """Run it beside the test, on a thread that nobody waits for if it hangs."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            future.set_result(function(endpoint))
        except Exception as exc:
            future.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return future


def _hold_up(endpoint: str) -> None:
    """Keep the old server busy until it is released."""
    with kt.connect(endpoint, transport="improved", timeout_s=WAIT_S) as other:
        other.call("slow")
