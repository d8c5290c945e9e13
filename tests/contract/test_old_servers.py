"""New clients against the original's servers, written by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import kato_transport as kt

from .doubles import WAIT_S, observation, until
from .old_servers import OldBasicServer, OldImprovedServer, OldServer

SHORT_S = 0.2
INTERVAL_S = 0.02
LIVENESS = 25
"""Half a second in all: a busy machine may keep a server from answering for a good part of one."""
KINDS = {"improved": OldImprovedServer, "basic": OldBasicServer}


@pytest.fixture(params=KINDS)
def old(request: pytest.FixtureRequest) -> Iterator[tuple[str, OldServer]]:
    """The name of a transport, and an old server of it."""
    with KINDS[request.param]() as server:
        yield request.param, server


def test_a_new_client_calls_an_old_server(old: tuple[str, OldServer]) -> None:
    """In the one frame that it understands."""
    transport, server = old
    with kt.connect(server.endpoint, transport=transport, timeout_s=WAIT_S) as client:
        for turn in range(20):
            assert client.call("observe", observation(f"u{turn}", "x"))["unique_id"] == f"u{turn}"
        assert client.call("get_name")["message"] == "Old"
    assert server.ran.count("observe") == 20


def test_a_new_asynchronous_client_calls_an_old_server(old: tuple[str, OldServer]) -> None:
    """However many tasks call at once."""
    transport, server = old

    async def run() -> list[str]:
        async with kt.aconnect(server.endpoint, transport=transport, timeout_s=WAIT_S) as client:
            calls = [client.call("observe", observation(f"u{turn}", "x")) for turn in range(20)]
            return [answer["unique_id"] for answer in await asyncio.gather(*calls)]

    assert asyncio.run(run()) == [f"u{turn}" for turn in range(20)]
    assert server.ran.count("observe") == 20


def test_threads_share_a_new_client_of_an_old_server(old: tuple[str, OldServer]) -> None:
    """Each gets its own answers."""
    transport, server = old
    with kt.connect(server.endpoint, transport=transport, timeout_s=WAIT_S) as client, ThreadPoolExecutor(8) as threads:

        def call(turn: int) -> str:
            return client.call("observe", observation(f"u{turn}", "x"))["unique_id"]

        assert list(threads.map(call, range(80))) == [f"u{turn}" for turn in range(80)]


def test_futures_and_many_calls_work_with_an_old_server(old: tuple[str, OldServer]) -> None:
    """If not faster than one after the other."""
    transport, server = old
    names = [f"u{turn}" for turn in range(20)]
    with kt.connect(server.endpoint, transport=transport, timeout_s=WAIT_S) as client:
        futures = [client.submit("observe", observation(name, "x")) for name in names]
        assert [future.result(WAIT_S)["unique_id"] for future in futures] == names
        answers = client.call_many([("observe", observation(name, "x")) for name in names])
        assert [answer["unique_id"] for answer in answers if isinstance(answer, dict)] == names


def test_a_batch_is_refused_by_an_old_server_with_what_to_do_instead(old: tuple[str, OldServer]) -> None:
    """Nothing of it runs, by this client or behind its caller's back."""
    transport, server = old
    calls = [("observe", observation("u1", "x")), ("get_name", {})]
    with kt.connect(server.endpoint, transport=transport, timeout_s=WAIT_S) as client:
        with pytest.raises(kt.RemoteError, match="takes no batches; use call_many"):
            client.batch(calls)
        assert "observe" not in server.ran
        assert [isinstance(item, dict) for item in client.call_many(calls)] == [True, True]

    async def run() -> None:
        async with kt.aconnect(server.endpoint, transport=transport, timeout_s=WAIT_S) as aclient:
            await aclient.batch(calls)

    with pytest.raises(kt.RemoteError, match="use call_many"):
        asyncio.run(run())


@pytest.mark.parametrize("compression", ["zlib", "zstd"])
def test_an_old_server_gets_large_messages_as_it_knows_them(old: tuple[str, OldServer], compression: str) -> None:
    """Not compressed, and in one frame, whatever this client could do."""
    transport, server = old
    large = {**observation("u1", *["a symbol"] * 50_000), "picture": bytes(300_000)}
    options = {"transport": transport, "timeout_s": WAIT_S, "compression": compression}
    with kt.connect(server.endpoint, **options) as client:
        assert client.call("observe", large)["unique_id"] == "u1"
        assert client.submit("observe", large).result(WAIT_S)["unique_id"] == "u1"
        answers = client.call_many([("observe", large)] * 3)
        assert [answer["unique_id"] for answer in answers if isinstance(answer, dict)] == ["u1"] * 3


def test_an_old_servers_error_is_a_remote_error(old: tuple[str, OldServer]) -> None:
    """With its text, and `internal` for the code it does not have."""
    transport, server = old
    with kt.connect(server.endpoint, transport=transport, timeout_s=WAIT_S) as client:
        with pytest.raises(kt.RemoteError) as raised:
            client.call("divine")
        assert (raised.value.message, raised.value.code) == ("Unknown method: divine", "internal")
        assert client.call("get_name")["message"] == "Old"


def test_a_late_answer_of_an_old_server_never_reaches_the_next_call(old: tuple[str, OldServer]) -> None:
    """Nothing in it would tell it apart, so it has to die with its socket."""
    transport, server = old
    with kt.connect(server.endpoint, transport=transport, timeout_s=WAIT_S) as client:
        client.call("get_name")
        with pytest.raises(kt.CallTimeout):
            client.call("slow", timeout_s=SHORT_S)
        server.release.set()
        for turn in range(20):
            assert client.call("observe", observation(f"u{turn}", "x"))["unique_id"] == f"u{turn}"


def test_a_late_answer_never_reaches_the_next_task(old: tuple[str, OldServer]) -> None:
    """The same for the asynchronous client, whether a call timed out or was cancelled."""
    transport, server = old

    async def run() -> None:
        async with kt.aconnect(server.endpoint, transport=transport, timeout_s=WAIT_S) as client:
            await client.call("get_name")
            with pytest.raises((kt.CallTimeout, TimeoutError)):
                await asyncio.wait_for(client.call("slow", timeout_s=WAIT_S), SHORT_S)
            with pytest.raises(kt.CallTimeout):
                await client.call("slow", timeout_s=10 * SHORT_S)
            server.release.set()
            for turn in range(20):
                assert (await client.call("observe", observation(f"u{turn}", "x")))["unique_id"] == f"u{turn}"

    asyncio.run(run())


def test_calls_at_once_to_an_old_server_that_is_stuck_all_end_in_time() -> None:
    """Waiting for one's turn is part of a call's time."""
    with OldImprovedServer() as server:

        async def run() -> list[object]:
            async with kt.aconnect(server.endpoint, transport="improved", timeout_s=WAIT_S) as client:
                await client.call("get_name")
                calls = [client.call("slow", timeout_s=2 * SHORT_S) for _ in range(20)]
                return list(await asyncio.gather(*calls, return_exceptions=True))

        started = time.monotonic()
        outcomes = asyncio.run(run())
        took_s = time.monotonic() - started
    assert all(isinstance(outcome, kt.TransportError) for outcome in outcomes)
    assert took_s < 10 * 2 * SHORT_S  # one after the other, they would take twice that


def test_the_heartbeat_answer_of_an_old_server_is_no_calls_answer() -> None:
    """It says `status: ok` and no type; the original's own client took it for the next call's answer."""
    options = {"heartbeat_interval_s": INTERVAL_S, "liveness": LIVENESS}
    with (
        OldImprovedServer() as server,
        kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S, **options) as client,
    ):
        until(lambda: server.heartbeats >= 2, "no heartbeat was sent")
        for turn in range(50):
            future = client.submit("observe", observation(f"u{turn}", "x"))
            assert future.result(WAIT_S)["unique_id"] == f"u{turn}"
            before = server.heartbeats
            if turn % 10 == 0:
                until(lambda before=before: server.heartbeats > before, "heartbeats have ended")


def test_an_old_server_that_answers_heartbeats_is_not_taken_for_gone() -> None:
    """No reconnection, for longer than a silent one would be borne with."""
    with OldImprovedServer() as server:
        codec = kt.registry().codec("msgpack")
        options = kt.ClientOptions(codec=codec, heartbeat_interval_s=INTERVAL_S, liveness=LIVENESS)
        connection = kt.registry().transport("improved").connect(server.endpoint, options)
        try:
            until(lambda: server.heartbeats >= 2 * LIVENESS, "no heartbeats were sent")
            assert connection.stats()["reconnections"] == 0  # type: ignore[attr-defined]
        finally:
            connection.close()
