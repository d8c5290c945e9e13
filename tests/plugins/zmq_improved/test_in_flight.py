"""Many requests in flight: through restarts, past stuck servers, and with an end in time for each."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

import kato_transport as kt
from kato_transport.contracts import WINDOW
from kato_transport_zmq_improved.dealer import Dealer

from .conftest import Service
from .peers import WAIT_S, RawRouter, until

CALLS = 500
SHORT_S = 0.3
AT_ONCE_S = 3.0
"""What twenty times `SHORT_S` may take where they pass together; one after the other, they would take twice that."""


def test_many_calls_are_answered_in_order(serve: Callable[..., kt.RunningServer]) -> None:
    """More than the window holds, errors among them."""
    with kt.connect(serve().endpoint, transport="improved", timeout_s=WAIT_S) as client:
        calls = [("echo" if number % 10 else "no such method", {"value": number}) for number in range(CALLS)]
        for number, item in enumerate(client.call_many(calls)):
            if number % 10:
                assert isinstance(item, dict)
                assert item["value"] == number
            else:
                assert isinstance(item, kt.RemoteError)
        assert client.call_many([]) == []


def test_many_calls_go_on_through_restarts(serve: Callable[..., kt.RunningServer]) -> None:
    """Each is answered or lost, in its place; once the last restart has been noticed, all are answered."""
    server = serve()
    stop = threading.Event()

    def restart() -> None:
        running = server
        while not stop.wait(0.1):
            running.close()
            running = serve(server.endpoint)

    with kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        thread = threading.Thread(target=restart)
        thread.start()
        answered = lost = 0
        try:
            ends = time.monotonic() + 4 * WAIT_S
            while not (answered > CALLS and lost) and time.monotonic() < ends:
                for number, item in enumerate(client.call_many([("echo", {"value": n}) for n in range(CALLS)])):
                    if isinstance(item, dict):
                        assert item["value"] == number
                        answered += 1
                    else:
                        assert isinstance(item, (kt.ConnectionLost, kt.ConnectFailed, kt.ServerBusy))
                        lost += 1
        finally:
            stop.set()
            thread.join()
        assert answered > CALLS
        assert lost > 0
        until(lambda: all(isinstance(item, dict) for item in client.call_many([("echo", {})] * CALLS)), "calls do not go on")


def test_many_calls_to_a_stuck_server_all_end_in_their_time() -> None:
    """All were made at once, so all are over at once, and not one window of them after the other."""
    with RawRouter() as router, kt.connect(router.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        client.call("ping")
        router.silent.set()
        started = time.monotonic()
        items = client.call_many([("echo", {})] * 20 * WINDOW, timeout_s=SHORT_S)
        took_s = time.monotonic() - started
    assert all(isinstance(item, (kt.CallTimeout, kt.ConnectFailed)) for item in items)
    assert isinstance(items[0], kt.CallTimeout)
    assert took_s < AT_ONCE_S


def test_one_call_that_is_stuck_holds_up_none_of_the_many(serve: Callable[..., kt.RunningServer], service: Service) -> None:
    """It alone runs out of time."""
    with kt.connect(serve().endpoint, transport="improved", timeout_s=WAIT_S) as client:
        items = client.call_many([("hold", {}), *[("echo", {"value": n}) for n in range(200)]], timeout_s=AT_ONCE_S)
        assert isinstance(items[0], kt.CallTimeout)
        assert [item["value"] for item in items[1:] if isinstance(item, dict)] == list(range(200))
        service.gate.set()
        assert client.call("echo", {"value": "next"})["value"] == "next"


@pytest.mark.parametrize("known", [True, False], ids=["known to correlate", "never heard"])
def test_tasks_at_once_to_a_stuck_server_all_end_in_their_time(known: bool) -> None:
    """Asking what the server can do is part of a call's time, and so is waiting for somebody else to ask."""
    with RawRouter() as router:

        async def run() -> tuple[list[object], float]:
            async with kt.aconnect(router.endpoint, transport="improved", timeout_s=WAIT_S) as client:
                if known:
                    await client.call("ping")
                router.silent.set()
                started = time.monotonic()
                calls = [client.call("echo", timeout_s=SHORT_S) for _ in range(20)]
                return list(await asyncio.gather(*calls, return_exceptions=True)), time.monotonic() - started

        items, took_s = asyncio.run(run())
    assert all(isinstance(item, (kt.CallTimeout, kt.ConnectFailed)) for item in items)
    assert took_s < AT_ONCE_S


def test_futures_of_a_stuck_server_all_end_in_their_time() -> None:
    """As the tasks do, whose way they take."""
    with RawRouter() as router, kt.connect(router.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        router.silent.set()
        started = time.monotonic()
        futures = [client.submit("echo", timeout_s=SHORT_S) for _ in range(20)]
        errors = [future.exception(WAIT_S) for future in futures]
        took_s = time.monotonic() - started
    assert all(isinstance(error, (kt.CallTimeout, kt.ConnectFailed)) for error in errors)
    assert took_s < AT_ONCE_S


@pytest.mark.parametrize(
    "slow",
    [
        lambda client: client.call("hold", timeout_s=SHORT_S),
        lambda client: client.submit("hold", timeout_s=SHORT_S).result(WAIT_S),
        lambda client: client.request(kt.Request("hold", timeout_s=SHORT_S)),
        lambda client: raised(client.call_many([("hold", {})], timeout_s=SHORT_S)[0]),
    ],
    ids=["call", "submit", "request", "call_many"],
)
def test_slow_calls_of_any_kind_open_no_circuit(
    serve: Callable[..., kt.RunningServer], slow: Callable[[kt.Client], object]
) -> None:
    """Their server is there; others' calls to it need not fail."""
    with kt.connect(serve().endpoint, transport="improved", timeout_s=WAIT_S, breaker_failures=2) as client:
        client.call("ping")
        client.submit("ping").result(WAIT_S)
        for _ in range(3):
            with pytest.raises(kt.CallTimeout):
                slow(client)
        assert (client.stats()["circuit"], client.stats()["circuit_opened"]) == ("closed", 0)
        assert client.submit("ping").result(WAIT_S)["status"] == "okay"


@pytest.mark.parametrize("kind", ["call", "request", "call_many"])
def test_slow_calls_of_an_asynchronous_client_open_no_circuit(serve: Callable[..., kt.RunningServer], kind: str) -> None:
    """As the others' do not."""

    async def slow(client: kt.AsyncClient) -> object:
        match kind:
            case "call":
                return await client.call("hold", timeout_s=SHORT_S)
            case "request":
                return await client.request(kt.Request("hold", timeout_s=SHORT_S))
        return raised((await client.call_many([("hold", {})], timeout_s=SHORT_S))[0])

    async def run() -> tuple[object, ...]:
        async with kt.aconnect(serve().endpoint, transport="improved", timeout_s=WAIT_S, breaker_failures=2) as client:
            await client.call("ping")
            for _ in range(3):
                with pytest.raises(kt.CallTimeout):
                    await slow(client)
            return client.stats()["circuit"], client.stats()["circuit_opened"], (await client.call("ping"))["status"]

    assert asyncio.run(run()) == ("closed", 0, "okay")


def test_deadlines_are_kept_after_something_failed_beside_them(
    serve: Callable[..., kt.RunningServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a heartbeat may, where there are no descriptors left for another socket."""

    def fail(dealer: Dealer, now: float) -> None:
        raise kt.ConnectFailed("no socket")

    async def run() -> None:
        options = {"timeout_s": WAIT_S, "copies": 1}
        async with kt.aconnect(serve().endpoint, transport="improved", **options) as client:
            await client.call("ping")
            monkeypatch.setattr(Dealer, "_keep_alive", fail)
            for _ in range(3):
                with pytest.raises(kt.CallTimeout):
                    await asyncio.wait_for(client.call("hold", timeout_s=SHORT_S), WAIT_S)

    asyncio.run(run())


def raised(item: object) -> object:
    """An item of many, in the way of the other calls."""
    if isinstance(item, Exception):
        raise item
    return item


def test_a_server_that_restarts_ends_what_is_in_flight_at_once(
    serve: Callable[..., kt.RunningServer], service: Service
) -> None:
    """Not when its time is over, and what is called next finds the new one."""
    server = serve(drain_s=0.05)
    with kt.connect(server.endpoint, transport="improved", timeout_s=600) as client:
        futures = [client.submit("hold") for _ in range(4)]
        until(lambda: service.holding == 4, "the calls did not start")
        server.close()
        for future in futures:
            with pytest.raises(kt.ConnectionLost):
                future.result(WAIT_S)
        serve(server.endpoint)
        assert client.call("echo", {"value": 1})["value"] == 1
        assert client.submit("echo", {"value": 2}).result(WAIT_S)["value"] == 2
