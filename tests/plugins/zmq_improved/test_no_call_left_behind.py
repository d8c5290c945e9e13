"""Every call ends, whatever ends around it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

import kato_transport as kt

from .conftest import Service
from .peers import WAIT_S


def test_no_future_is_left_open_when_the_client_closes(serve: Callable[..., kt.RunningServer]) -> None:
    """Not even of requests that were only about to be sent."""
    client = kt.connect(serve().endpoint, transport="improved", timeout_s=WAIT_S)
    futures = [client.submit("echo", {"value": n}) for n in range(300)]
    client.close()
    for future in futures:
        error = future.exception(WAIT_S)
        assert error is None or isinstance(error, kt.ClientClosed)


@pytest.mark.parametrize("transport", ["improved", "basic"])
@pytest.mark.parametrize("inline", [True, False], ids=["inline", "on a worker"])
def test_a_handler_that_raises_cancellation_ends_its_request_only(transport: str, inline: bool) -> None:
    """The caller hears of it, and the next call is answered."""

    def cancel() -> dict[str, str]:
        raise asyncio.CancelledError

    functions = {"cancel": kt.inline(cancel) if inline else cancel, "echo": dict}
    with (
        kt.serve(functions, "tcp://127.0.0.1:0", transport=transport) as server,
        kt.connect(server.endpoint, transport=transport, timeout_s=WAIT_S) as client,
    ):
        with pytest.raises(kt.RemoteError) as raised:
            client.call("cancel")
        assert raised.value.code == "internal"
        assert client.call("echo")["status"] == "okay"


def test_many_calls_of_an_asynchronous_client_leave_the_queue_to_others(
    serve: Callable[..., kt.RunningServer], service: Service
) -> None:
    """However many there are, none of them is told that the server is busy with the others."""

    async def run(endpoint: str) -> list[object]:
        async with kt.aconnect(endpoint, transport="improved", timeout_s=4 * WAIT_S) as client:
            return list(await client.call_many([("echo", {"value": n}) for n in range(500)]))

    answers = asyncio.run(run(serve(queue_limit=100).endpoint))
    assert [answer["value"] for answer in answers if isinstance(answer, dict)] == list(range(500))


def test_a_short_call_does_not_wait_for_a_long_one_that_cannot_be_sent(serve: Callable[..., kt.RunningServer]) -> None:
    """Each waits for the server within its own time."""
    server = serve()

    async def run() -> float:
        async with kt.aconnect(server.endpoint, transport="improved", connect_timeout_s=WAIT_S) as client:
            await client.call("echo")
            await asyncio.to_thread(server.close)
            long = asyncio.create_task(client.call("echo", timeout_s=WAIT_S))
            await asyncio.sleep(0)
            started = time.monotonic()
            with pytest.raises((kt.ConnectFailed, kt.ConnectionLost)):
                await client.call("echo", timeout_s=0.1)
            took_s = time.monotonic() - started
            long.cancel()
            return took_s

    assert asyncio.run(run()) < WAIT_S / 2


def test_a_request_for_nobody_is_refused_while_a_processor_works() -> None:
    """An unknown method or processor needs none, and waits behind none."""
    gate, started = threading.Event(), threading.Event()

    class Slow:
        id, name, time = "p", "P", 0

        def observe(self, observation: dict[str, object]) -> dict[str, object]:
            started.set()
            gate.wait(WAIT_S)
            return {}

        def learn(self) -> str:
            return ""

        def get_predictions(self, unique_id: object) -> list[object]:
            return []

    observation = {"strings": [], "vectors": [], "emotives": {}, "unique_id": "o"}
    with (
        kt.serve(Slow(), "tcp://127.0.0.1:0", transport="improved") as server,
        kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S) as client,
    ):
        future = client.submit("observe", observation)
        assert started.wait(WAIT_S)
        with pytest.raises(kt.RemoteError, match="Unknown method: nonsense"):
            client.call("nonsense")
        with pytest.raises(kt.RemoteError, match="no processor 'q'"):
            client.call("learn", processor_id="q")
        assert not future.done()
        gate.set()
        assert future.result(WAIT_S)["message"] == "observed"


def test_the_server_is_told_what_is_left_of_the_callers_time(serve: Callable[..., kt.RunningServer]) -> None:
    """Waiting for a connection is a part of it."""
    seen: list[float] = []
    began: list[float] = []
    holding, gate = threading.Event(), threading.Event()

    def service(request: kt.Request) -> kt.Response:
        if request.method == "hold":
            holding.set()
            gate.wait(WAIT_S)
        else:
            seen.append(request.timeout_s)
        return kt.Response.okay()

    def wait_for_the_connection() -> None:
        began.append(time.monotonic())
        client.call("m", timeout_s=WAIT_S)

    with (
        kt.serve(service, "tcp://127.0.0.1:0", transport="improved") as server,
        kt.connect(server.endpoint, transport="improved", max_connections=1) as client,
    ):
        holder = threading.Thread(target=lambda: client.call("hold", timeout_s=2 * WAIT_S))
        holder.start()
        assert holding.wait(WAIT_S)
        waiter = threading.Thread(target=wait_for_the_connection)
        waiter.start()
        waiter.join(0.3)
        let_go = time.monotonic()
        gate.set()
        waiter.join(WAIT_S)
        holder.join(WAIT_S)
    assert 0 < seen[0] <= WAIT_S - (let_go - began[0])
