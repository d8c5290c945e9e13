"""Signs of life: asked for after an interval of silence, and a peer that gives none is connected to anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import kato_transport as kt
from kato_transport.testing.sections.forking import fork, needs_fork

from .peers import WAIT_S, RawRouter, until

INTERVAL_S = 0.05
LIVENESS = 10
"""Half a second in all: a busy machine may keep a peer from answering for a good part of one."""


@pytest.fixture
def router() -> Iterator[RawRouter]:
    """A server by hand."""
    with RawRouter() as made:
        yield made


def test_a_client_that_calls_nothing_asks_for_signs_of_life(router: RawRouter, connection: Callable[..., Any]) -> None:
    """One each interval, for longer than a silent peer would be borne with; their answers are no reason to reconnect."""
    connected = connection(router.endpoint, heartbeat_interval_s=INTERVAL_S, liveness=LIVENESS)
    until(lambda: router.heartbeats >= 1.5 * LIVENESS, "no heartbeats came")
    assert connected.stats()["reconnections"] == 0
    until(lambda: connected.stats()["silent_s"] < INTERVAL_S, "the answers are not taken for signs of life")
    assert router.requests == 0


def test_an_asynchronous_client_does_so_too(router: RawRouter) -> None:
    """On its own loop."""

    async def run() -> None:
        async with kt.aconnect(router.endpoint, transport="improved", heartbeat_interval_s=INTERVAL_S):
            await asyncio.to_thread(until, lambda: router.heartbeats >= 5, "no heartbeats came")

    asyncio.run(run())
    assert router.requests == 0


def test_an_interval_of_nothing_means_no_heartbeats(router: RawRouter, connection: Callable[..., Any]) -> None:
    """Whatever else goes over the connection."""
    connected = connection(router.endpoint, heartbeat_interval_s=0)
    for _ in range(20):
        connected.request(kt.Request("ping"))
    assert router.heartbeats == 0


def test_a_silent_peer_is_noticed_and_connected_to_anew(router: RawRouter, connection: Callable[..., Any]) -> None:
    """By a new socket, until it speaks again; then calls go on."""
    connected = connection(router.endpoint, heartbeat_interval_s=INTERVAL_S, liveness=LIVENESS)
    assert connected.request(kt.Request("ping", timeout_s=WAIT_S)).body["status"] == "okay"
    until(lambda: router.heartbeats > 0, "no heartbeat came")
    known = len(router.identities)
    router.silent.set()
    until(lambda: len(router.identities) > known, "nobody connected anew")
    router.silent.clear()
    until(lambda: answered(connected.request), "calls do not go on")
    until(lambda: answered(lambda request: connected.submit(request).result(WAIT_S)), "futures do not go on")
    until(lambda: connected.stats()["silent_s"] < INTERVAL_S, "the peer is still taken for silent")


def test_a_client_that_was_held_up_itself_does_not_take_its_peer_for_silent(router: RawRouter) -> None:
    """As a process is that was stopped, or on a machine that slept: it asks first, and no call under way is lost."""

    async def run() -> None:
        options = kt.ClientOptions(codec=kt.registry().codec("msgpack"), heartbeat_interval_s=INTERVAL_S, liveness=LIVENESS)
        connected: Any = kt.registry().transport("improved").aconnect(router.endpoint, options)  # type: ignore[attr-defined]
        for _ in range(2):
            await connected.request(kt.Request("ping", timeout_s=WAIT_S))
            held_up(1.2 * LIVENESS * INTERVAL_S)
            await asyncio.sleep(2 * INTERVAL_S)
        assert connected.stats()["reconnections"] == 0
        await connected.close()

    asyncio.run(run())


def held_up(for_s: float) -> None:
    """Nothing else runs on this thread meanwhile, as in a process that is stopped."""
    time.sleep(for_s)


def answered(request: Callable[[kt.Request], kt.Response]) -> bool:
    """Whether a ping is answered; false where the silence was noticed in the midst of it."""
    try:
        return request(kt.Request("ping", timeout_s=WAIT_S)).body["status"] == "okay"
    except kt.ConnectionLost:
        return False


def test_what_was_in_flight_at_a_silent_peer_is_lost_long_before_its_time(
    router: RawRouter, connection: Callable[..., Any]
) -> None:
    """`ConnectionLost`: it may have run."""
    connected = connection(router.endpoint, heartbeat_interval_s=INTERVAL_S, liveness=LIVENESS)
    connected.submit(kt.Request("ping", timeout_s=WAIT_S)).result(WAIT_S)
    router.silent.set()
    futures = [connected.submit(kt.Request("observe", timeout_s=600)) for _ in range(5)]
    for future in futures:
        with pytest.raises(kt.ConnectionLost, match=r"observe: .* is silent; it may have run"):
            future.result(WAIT_S)


@needs_fork
def test_a_forked_child_notices_a_silent_peer_as_its_parent_does(router: RawRouter, connection: Callable[..., Any]) -> None:
    """Heartbeats do not cross a fork: the child has its own from its first call on, whether or not it makes futures."""
    connected = connection(router.endpoint, heartbeat_interval_s=INTERVAL_S, liveness=LIVENESS)
    connected.request(kt.Request("ping", timeout_s=WAIT_S))

    def call_on() -> None:
        while True:
            connected.request(kt.Request("ping", timeout_s=600))

    def call_until_it_is_lost() -> None:
        with pytest.raises(kt.ConnectionLost, match="has gone silent; it may have run"):
            call_on()

    before = router.requests
    child = fork(call_until_it_is_lost)
    try:
        until(lambda: router.requests > before + 10, "the child does not call")
    finally:
        router.silent.set()
        outcome = child.ended()
    assert outcome == "fine"


def test_kept_sockets_of_a_silent_peer_are_let_go_of(router: RawRouter, connection: Callable[..., Any]) -> None:
    """A host that is gone says no goodbye, so they would be used once more each."""
    connected = connection(router.endpoint, heartbeat_interval_s=INTERVAL_S, liveness=LIVENESS)
    connected.request(kt.Request("ping", timeout_s=WAIT_S))
    assert connected.stats()["connections"] == 1
    router.silent.set()
    until(lambda: connected.stats()["connections"] == 0, "the kept socket is still there")


def test_a_server_counts_its_clients_up_and_down(serve: Callable[..., kt.RunningServer]) -> None:
    """Those that were heard within its liveness."""
    server = serve(heartbeat_interval_s=INTERVAL_S, liveness=4)
    assert server.stats()["clients"] == 0
    clients = [kt.connect(server.endpoint, transport="improved", heartbeat_interval_s=INTERVAL_S) for _ in range(3)]
    until(lambda: server.stats()["clients"] >= 3, "clients are not counted")
    clients.pop().close()
    until(lambda: server.stats()["clients"] == 2, "a client that left is still counted")
    for client in clients:
        client.close()
    until(lambda: server.stats()["clients"] == 0, "clients that left are still counted")


def test_a_client_whose_server_is_not_there_yet_is_not_told_that_it_is_silent(
    connection: Callable[..., Any], serve: Callable[..., kt.RunningServer]
) -> None:
    """It finds the server once there is one."""
    port = serve()
    endpoint = port.endpoint
    port.close()
    connected = connection(endpoint, heartbeat_interval_s=INTERVAL_S, liveness=LIVENESS)
    with pytest.raises(kt.ConnectFailed):
        connected.request(kt.Request("echo", timeout_s=1.5 * LIVENESS * INTERVAL_S))
    serve(endpoint)
    assert connected.request(kt.Request("echo", timeout_s=WAIT_S)).body["status"] == "okay"
    assert connected.submit(kt.Request("echo", timeout_s=WAIT_S)).result(WAIT_S).body["status"] == "okay"
