"""What a client does by itself after a failure: asks a busy server again, and repeats what may run twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

import kato_transport as kt
from kato_transport.client import AsyncClient, Client
from kato_transport.kato.methods import IDEMPOTENT, METHODS

BUSY = kt.Response.error("full", "busy")
OKAY = kt.Response.okay(done=True)
LOST = kt.ConnectionLost("cut")


class Script:
    """A connection that does what it is told, the last of it for ever."""

    def __init__(self, *outcomes: kt.Response | Exception) -> None:
        self.outcomes = list(outcomes)
        self.requests: list[kt.Request] = []
        self.closed = 0

    def request(self, request: kt.Request) -> kt.Response:
        self.requests.append(request)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        self.closed += 1


class AsyncScript(Script):
    """The same for asyncio."""

    async def request(self, request: kt.Request) -> kt.Response:  # type: ignore[override]
        return super().request(request)

    async def close(self) -> None:  # type: ignore[override]
        super().close()


Caller = Callable[..., tuple[Any, list[kt.Request]]]


def _sync(*outcomes: Any, method: str = "observe", **options: Any) -> tuple[Any, list[kt.Request]]:
    script = Script(*outcomes)
    try:
        return Client(script, "script://", 5.0).call(method, **options), script.requests
    except kt.TransportError as exc:
        return exc, script.requests


def _async(*outcomes: Any, method: str = "observe", **options: Any) -> tuple[Any, list[kt.Request]]:
    script = AsyncScript(*outcomes)

    async def run() -> Any:
        return await AsyncClient(script, "script://", 5.0).call(method, **options)

    try:
        return asyncio.run(run()), script.requests
    except kt.TransportError as exc:
        return exc, script.requests


@pytest.fixture(params=[_sync, _async], ids=["Client", "AsyncClient"])
def call(request: pytest.FixtureRequest) -> Caller:
    """A call through a script: what came of it, and the requests that were made."""
    found: Caller = request.param
    return found


def test_a_busy_server_is_asked_again(call: Caller) -> None:
    """Whatever the method: it has run nothing."""
    answer, requests = call(BUSY, BUSY, OKAY)
    assert answer["done"]
    assert [request.method for request in requests] == ["observe"] * 3


def test_a_busy_server_is_asked_again_within_the_calls_time_only(call: Caller) -> None:
    """Then the caller hears that it was busy."""
    started = time.monotonic()
    error, requests = call(BUSY, timeout_s=0.3)
    assert isinstance(error, kt.ServerBusy)
    assert len(requests) > 1
    assert time.monotonic() - started < 1.0


def test_each_attempt_has_what_is_left_of_the_time(call: Caller) -> None:
    """All attempts share the call's own."""
    _, requests = call(BUSY, BUSY, BUSY, OKAY, timeout_s=2.0)
    times = [request.timeout_s for request in requests]
    assert times == sorted(times, reverse=True)
    assert times[0] == 2.0
    assert 0 < times[-1] < 2.0


def test_a_broken_connection_is_tried_again_for_what_may_run_twice(call: Caller) -> None:
    """Reading methods are that by themselves."""
    answer, requests = call(LOST, OKAY, method="get_stm")
    assert answer["done"]
    assert len(requests) == 2


def test_a_broken_connection_is_the_callers_to_hear_of_otherwise(call: Caller) -> None:
    """The observation may have run."""
    error, requests = call(LOST, OKAY, method="observe")
    assert error is LOST
    assert len(requests) == 1


@pytest.mark.parametrize(("method", "idempotent", "attempts"), [("observe", True, 2), ("get_stm", False, 1)])
def test_the_caller_knows_best_what_may_run_twice(call: Caller, method: str, idempotent: bool, attempts: int) -> None:
    """Both ways."""
    _, requests = call(LOST, OKAY, method=method, idempotent=idempotent)
    assert len(requests) == attempts


def test_a_call_that_became_dangerous_to_repeat_is_not_repeated(call: Caller) -> None:
    """Busy at first, lost at second: it may have run."""
    error, requests = call(BUSY, LOST, OKAY)
    assert error is LOST
    assert len(requests) == 2


@pytest.mark.parametrize(
    "failed",
    [
        kt.CallTimeout("m", 1.0, "e"),
        kt.ConnectFailed("nobody"),
        kt.RemoteProtocolError("odd"),
        kt.LocalProtocolError("big"),
        kt.Response.error("no", "not_found"),
        kt.Response.error("burst", "internal"),
    ],
    ids=["timeout", "nobody there", "odd answer", "too big", "not found", "internal"],
)
def test_nothing_else_is_tried_again(call: Caller, failed: Any) -> None:
    """Not even for methods that only read."""
    error, requests = call(failed, OKAY, method="get_stm")
    assert isinstance(error, kt.TransportError)
    assert len(requests) == 1


def test_a_call_that_succeeds_never_sees_the_retry_policy(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one whose failure cannot be repeated pay for tenacity."""
    monkeypatch.setattr("kato_transport.client.policy", lambda *_: pytest.fail("the policy was asked"))
    assert call(OKAY)[0]["done"]
    assert call(LOST)[0] is LOST


def test_what_may_run_twice_is_what_only_reads() -> None:
    """Nothing that observes, learns, clears or changes."""
    assert {name for name in METHODS if name.startswith("get_")} | {"ping"} == IDEMPOTENT


def test_a_closed_client_refuses_every_call() -> None:
    """And closes its connection once."""
    script = Script(OKAY)
    client = Client(script, "script://", 5.0)
    with client:
        pass
    client.close()
    assert script.closed == 1
    for refused in (
        lambda: client.call("m"),
        lambda: client.submit("m"),
        lambda: client.call_many([("m", {})]),
        lambda: client.request(kt.Request("m")),
    ):
        with pytest.raises(kt.ClientClosed, match="script://"):
            refused()


def test_a_closed_asynchronous_client_refuses_every_call() -> None:
    """The very same way, many calls included."""

    async def run() -> None:
        client = AsyncClient(AsyncScript(OKAY), "script://", 5.0)
        async with client:
            pass
        for refused in (
            lambda: client.call("m"),
            lambda: client.request(kt.Request("m")),
            lambda: client.call_many([("m", {})]),
        ):
            with pytest.raises(kt.ClientClosed, match="script://"):
                await refused()

    asyncio.run(run())


def test_an_error_among_many_calls_is_an_item() -> None:
    """Of both clients, in its place."""
    outcomes = (OKAY, LOST, kt.Response.error("no", "not_found"), BUSY, OKAY)
    items = Client(Script(*outcomes), "script://", 5.0).call_many([("m", {})] * 5)

    async def run() -> list[Any]:
        return await AsyncClient(AsyncScript(*outcomes), "script://", 5.0).call_many([("m", {})] * 5)

    for found in (items, asyncio.run(run())):
        assert [type(item) for item in found] == [dict, kt.ConnectionLost, kt.RemoteError, kt.ServerBusy, dict]
