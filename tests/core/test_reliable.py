"""What a client does by itself after a failure: sends again what can do no harm, and tells the truth about the rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

import kato_transport as kt
from kato_transport.client import AsyncClient, Client
from kato_transport.kato.methods import IDEMPOTENT, METHODS
from kato_transport.reliable import AsyncReliableConnection, ReliableConnection

from .waiting import until

BUSY = kt.Response.error("full", "busy")
OKAY = kt.Response.okay(done=True)
LOST = kt.ConnectionLost("cut")


class Script:
    """A connection that does what it is told, the last of it for ever; a server of that name answers its pings."""

    def __init__(self, *outcomes: kt.Response | Exception, server: str = "") -> None:
        self.outcomes = list(outcomes)
        self.requests: list[kt.Request] = []
        self.server = server
        self.pings = self.closed = 0

    def request(self, request: kt.Request) -> kt.Response:
        if request.method == "ping":
            self.pings += 1
            return kt.Response.okay(features=["dedupe"] if self.server else [], server=self.server)
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
OPTIONS = kt.ClientOptions(codec=kt.registry().codec("msgpack"), connect_timeout_s=1.0)


def _client(*scripts: Script, **options: Any) -> Client:
    named = [(f"script://{index}", script) for index, script in enumerate(scripts)]
    return Client(ReliableConnection(named, evolve(OPTIONS, **options)), "script://0", 5.0)


def _sync(*outcomes: Any, method: str = "observe", server: str = "", **options: Any) -> tuple[Any, list[kt.Request]]:
    script = Script(*outcomes, server=server)
    try:
        return _client(script).call(method, **options), script.requests
    except kt.TransportError as exc:
        return exc, script.requests


def _async(*outcomes: Any, method: str = "observe", server: str = "", **options: Any) -> tuple[Any, list[kt.Request]]:
    script = AsyncScript(*outcomes, server=server)

    async def run() -> Any:
        connection = AsyncReliableConnection([("script://0", script)], OPTIONS)
        return await AsyncClient(connection, "script://0", 5.0).call(method, **options)

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
    assert time.monotonic() - started < 3.0  # the client's own time would be five


def test_each_attempt_has_what_is_left_of_the_time(call: Caller) -> None:
    """All attempts share the call's own."""
    _, requests = call(BUSY, BUSY, BUSY, OKAY, timeout_s=2.0)
    times = [request.timeout_s for request in requests]
    assert times == sorted(times, reverse=True)
    assert times[0] == pytest.approx(2.0, abs=1.0)
    assert 0 < times[-1] < times[0]


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
        kt.RemoteProtocolError("odd"),
        kt.LocalProtocolError("big"),
        kt.Response.error("no", "not_found"),
        kt.Response.error("burst", "internal"),
    ],
    ids=["odd answer", "too big", "not found", "internal"],
)
def test_nothing_else_is_tried_again(call: Caller, failed: Any) -> None:
    """Not even for methods that only read."""
    error, requests = call(failed, OKAY, method="get_stm")
    assert isinstance(error, kt.TransportError)
    assert len(requests) == 1


def test_a_call_that_succeeds_never_sees_the_retry_policy(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one whose failure cannot be repeated pay for tenacity."""
    monkeypatch.setattr("tenacity.Retrying.__init__", lambda *_, **__: pytest.fail("the policy was asked"))
    assert call(OKAY)[0]["done"]
    assert call(OKAY, server="s1")[0]["done"]
    assert call(LOST)[0] is LOST


def test_what_may_run_twice_is_what_only_reads() -> None:
    """Nothing that observes, learns, clears or changes."""
    assert {name for name in METHODS if name.startswith("get_")} | {"ping"} == IDEMPOTENT


def test_a_closed_client_refuses_every_call() -> None:
    """And closes its connection once."""
    script = Script(OKAY)
    client = _client(script)
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
        client = AsyncClient(AsyncReliableConnection([("script://0", AsyncScript(OKAY))], OPTIONS), "script://0", 5.0)
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
    outcomes = (OKAY, LOST, kt.Response.error("no", "not_found"), OKAY)
    items = _client(Script(*outcomes)).call_many([("m", {})] * 4)

    async def run() -> list[Any]:
        connection = AsyncReliableConnection([("script://0", AsyncScript(*outcomes))], OPTIONS)
        return await AsyncClient(connection, "script://0", 5.0).call_many([("m", {})] * 4)

    for found in (items, asyncio.run(run())):
        assert [type(item) for item in found] == [dict, kt.ConnectionLost, kt.RemoteError, dict]


# --- servers that run nothing twice ---------------------------------------------------------------------------------


@pytest.mark.parametrize("failed", [LOST, kt.CallTimeout("observe", 1.0, "script://0")], ids=["lost", "timeout"])
def test_a_server_that_runs_nothing_twice_is_sent_another_copy(call: Caller, failed: Exception) -> None:
    """Which says that it is one, under the mark of the first."""
    answer, (first, second) = call(failed, OKAY, server="s1")
    assert answer["done"]
    assert first.once == second.once
    assert first.once.startswith("s1.")


def test_every_call_has_a_mark_of_its_own() -> None:
    """Whatever it is, as long as the server can make use of it."""
    script = Script(OKAY, server="s1")
    client = _client(script)
    for _ in range(20):
        client.call("observe")
    assert len({request.once for request in script.requests}) == 20
    assert script.pings == 1


def test_a_copy_leaves_time_for_others(call: Caller) -> None:
    """But the server is told of all of it."""
    _, (first, second) = call(LOST, OKAY, server="s1", timeout_s=3.0)
    assert first.timeout_s == pytest.approx(1.0)
    assert first.timeout_s + first.beyond_s == pytest.approx(3.0, abs=0.5)
    assert second.timeout_s + second.beyond_s < 3.0


def test_a_copy_to_any_other_server_has_all_the_time(call: Caller) -> None:
    """As no other may follow."""
    _, (only,) = call(OKAY, timeout_s=3.0)
    assert (only.timeout_s, only.beyond_s) == (pytest.approx(3.0, abs=0.5), 0.0)


class Restarting(Script):
    """A server that comes back as another after the first copy."""

    def request(self, request: kt.Request) -> kt.Response:
        try:
            return super().request(request)
        finally:
            if request.method != "ping":
                self.server = "s2"


def test_no_copy_goes_to_a_server_that_has_restarted() -> None:
    """The first may have run in its former life, and the new one knows nothing of it."""
    script = Restarting(LOST, OKAY, server="s1")
    with pytest.raises(kt.ConnectionLost, match="has restarted"):
        _client(script).call("observe")
    assert len(script.requests) == 1


def test_a_first_copy_that_missed_its_server_is_made_out_to_the_new_one(call: Caller) -> None:
    """It was refused, so it has not run."""
    answer, (first, second) = call(kt.Response.error("restarted", "restarted"), OKAY, server="s1")
    assert answer["done"]
    assert first.once != second.once


def test_what_a_server_has_forgotten_is_not_sent_again(call: Caller) -> None:
    """It may have run."""
    error, requests = call(LOST, kt.Response.error("too late", "forgotten"), OKAY, server="s1")
    assert isinstance(error, kt.ConnectionLost)
    assert len(requests) == 2


def test_a_call_given_up_says_how_long_and_how_often(call: Caller) -> None:
    """All copies together."""
    error, requests = call(kt.CallTimeout("observe", 0.1, "script://0"), server="s1", timeout_s=0.4)
    assert isinstance(error, kt.CallTimeout)
    assert (error.timeout_s, error.copies) == (0.4, len(requests))
    assert f"{len(requests)} times" in str(error)


def test_an_earlier_copy_that_may_have_run_is_not_forgotten_over_a_later_one_that_did_not(call: Caller) -> None:
    """The caller must not take it for safe."""
    error, _ = call(LOST, kt.ConnectFailed("nobody there"), server="s1", timeout_s=0.4)
    assert isinstance(error, kt.ConnectionLost)


def test_a_lost_call_waits_for_its_servers_return_as_long_as_a_connection_may_take(call: Caller) -> None:
    """And not for all of its own time."""
    started = time.monotonic()
    error, requests = call(LOST, kt.ConnectFailed("nobody there"), server="s1", timeout_s=60.0)
    assert error is LOST
    assert len(requests) > 1
    assert time.monotonic() - started < 30.0  # one second was given, of the call's sixty


def test_nothing_sent_is_sent_again_for_as_long_as_a_connection_may_take(call: Caller) -> None:
    """Whatever the method."""
    answer, requests = call(kt.ConnectFailed("nobody"), kt.ConnectFailed("nobody"), OKAY)
    assert answer["done"]
    assert len(requests) == 3
    started = time.monotonic()
    error, _ = call(kt.ConnectFailed("nobody"))
    assert isinstance(error, kt.ConnectFailed)
    assert time.monotonic() - started < 4.0  # one second was given, of the call's five


# --- several endpoints ----------------------------------------------------------------------------------------------


def test_calls_go_around_an_endpoint_that_is_gone() -> None:
    """At once, and for nearly all calls without trying it."""
    gone, well = Script(kt.ConnectFailed("gone")), Script(OKAY)
    client = _client(gone, well)
    for _ in range(50):
        assert client.call("get_stm")["done"]
    assert len(well.requests) == 50
    assert len(gone.requests) < 20
    stats = client.stats()["endpoints"]
    assert stats["script://0"]["circuit"] in ("open", "half_open")
    assert stats["script://1"]["circuit"] == "closed"


def test_an_endpoint_that_returns_gets_calls_again() -> None:
    """By itself."""
    back, well = Script(kt.ConnectFailed("gone")), Script(OKAY)
    client = _client(back, well)
    for _ in range(20):
        client.call("get_stm")
    back.outcomes = [OKAY]
    before = len(back.requests)
    until(lambda: client.call("get_stm") and len(back.requests) > before + 5, "the endpoint stayed out")
    assert client.stats()["endpoints"]["script://0"]["circuit"] == "closed"


def test_a_copy_of_what_may_have_run_goes_to_no_other_endpoint() -> None:
    """Only that server can tell."""
    first, other = Script(LOST, OKAY, server="s1"), Script(LOST, OKAY, server="s2")
    assert _client(first, other).call("observe")["done"]
    assert sorted([len(first.requests), len(other.requests)]) == [0, 2]


def test_reading_goes_to_another_endpoint_after_a_failure() -> None:
    """Any may answer it."""
    first, other = Script(LOST), Script(OKAY)
    for _ in range(10):
        assert _client(first, other).call("get_stm")["done"]


def test_an_open_circuit_fails_at_once_and_says_why() -> None:
    """Nothing is sent."""
    gone = Script(LOST)
    client = _client(gone, connect_timeout_s=0.01)
    for _ in range(5):
        with pytest.raises(kt.ConnectionLost):
            client.call("observe")
    with pytest.raises(kt.ConnectFailed, match="failed too often"):
        client.call("observe")
    assert len(gone.requests) == 5
    assert client.stats()["circuit_opened"] == 1


def test_a_call_whose_server_never_spoke_was_not_sent_and_says_so() -> None:
    """A server has to say who it is before it is sent what may not run twice."""

    class Mute(Script):
        def request(self, request: kt.Request) -> kt.Response:
            raise kt.CallTimeout(request.method, request.timeout_s, "script://0")

    with pytest.raises(kt.CallTimeout, match="nothing was sent") as raised:
        _client(Mute(OKAY)).call("observe", timeout_s=0.2)
    assert raised.value.copies == 0


def test_a_call_to_nobody_says_so_of_itself() -> None:
    """And not of the question who is there, which the caller did not ask."""

    class Nobody(Script):
        def request(self, request: kt.Request) -> kt.Response:
            raise kt.ConnectFailed(f"{request.method}: nothing listens at script://0; nothing was sent")

    with pytest.raises(kt.ConnectFailed, match=r"^observe: nothing listens at script://0; nothing was sent$"):
        _client(Nobody(OKAY), connect_timeout_s=0.05).call("observe")


def test_a_caller_that_may_ask_again_itself_has_the_server_told_so() -> None:
    """By the seconds beyond its own time, whether it is one copy or all."""
    script = Script(OKAY)
    client = _client(script)
    client.request(kt.Request("observe", timeout_s=1.0, beyond_s=3.0))
    assert [(sent.timeout_s, sent.beyond_s) for sent in script.requests] == [(1.0, 3.0)]
