"""What a test is given: servers and clients of the transport under test, all let go of at its end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import pytest

import kato_transport as kt
from kato_transport.contracts import Connection
from kato_transport.settings import Settings
from kato_transport.testing.proxy import FaultProxy
from kato_transport.testing.service import SampleService
from kato_transport.testing.waiting import GRACE_S, LONG_S, at_most, background, comes_true

DRAIN_S = 1.0
"""What a test's server gives to requests under way, unless the test says otherwise."""
PROBE_S = 1.0
"""Time for two calls to start side by side, where a server lets them."""


class Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


BARE = {"timeout_s": LONG_S, "copies": 1, "breaker_failures": 0}
"""Options of a client that hides nothing of its transport."""


class Rig:
    """Makes servers and clients; `service` is what the servers serve unless told."""

    def __init__(self, transport: str, codec: str, fresh_endpoint: Callable[[], str]) -> None:
        self.service = SampleService()
        self._transport = transport
        self._codec = codec
        self._fresh_endpoint = fresh_endpoint
        self._made = ExitStack()

    def serve(self, served: Any = None, endpoint: str | None = None, **options: Any) -> kt.RunningServer:
        """A running server, by default of the rig's own service at an endpoint of its own."""
        server = kt.serve(
            self.service.methods if served is None else served,
            self._fresh_endpoint() if endpoint is None else endpoint,
            transport=self._transport,
            codec=self._codec,
            **{"drain_s": DRAIN_S, **options},
        )
        return self._keep(server, DRAIN_S + GRACE_S)

    def connect(self, peer: kt.RunningServer | str, **options: Any) -> kt.Client:
        """A client of a server or endpoint; calls wait long unless they say otherwise, and none is sent again."""
        options = {**BARE, **options}
        client = kt.connect(_endpoint(peer), transport=self._transport, codec=self._codec, **options)
        return self._keep(client, GRACE_S)

    def connected(self, peer: kt.RunningServer | str, **options: Any) -> kt.Client:
        """A client that has been answered already, so that connecting takes nothing from the next call's time."""
        client = self.connect(peer, **options)
        client.call("ping")
        return client

    def aconnect(self, peer: kt.RunningServer | str, **options: Any) -> kt.AsyncClient:
        """An asynchronous client; the test closes it, in its own event loop."""
        options = {**BARE, **options}
        return kt.aconnect(_endpoint(peer), transport=self._transport, codec=self._codec, **options)

    def connection(self, peer: kt.RunningServer | str) -> Connection:
        """The transport's own connection, without the client that is built on top of it."""
        options = Settings.from_env().client_options(kt.registry().codec(self._codec))
        return self._keep(kt.registry().transport(self._transport).connect(_endpoint(peer), options), GRACE_S)

    def nowhere(self) -> str:
        """An endpoint that was served a moment ago, and is no more."""
        server = self.serve()
        server.close()
        parts = urlsplit(server.endpoint)
        if parts.hostname is not None and parts.port is not None:
            self._keep_from_others(parts.hostname, parts.port)
        return server.endpoint

    def _keep_from_others(self, host: str, port: int) -> None:
        """Bind a port without listening at it, so that it is given to no other process meanwhile."""
        taken = self._made.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET))
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))

    def proxy(self, server: kt.RunningServer) -> tuple[FaultProxy, str]:
        """A proxy before the server, with its endpoint; skips where endpoints are not of the form host:port."""
        parts = urlsplit(server.endpoint)
        if parts.hostname is None or parts.port is None:
            pytest.skip(f"{parts.scheme}: endpoints are no host:port, so that no proxy can stand before them")
        proxy = FaultProxy(parts.hostname, parts.port)
        self._made.callback(proxy.close)
        return proxy, parts._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()

    def skip_unless_concurrent(self) -> None:
        """Skip where a server takes one request at a time, as some that do not claim MULTIPLEX do."""
        if kt.Capability.MULTIPLEX in kt.registry().transport(self._transport).capabilities:
            return
        server = self.serve()
        keys = ("probe one", "probe two")
        for key in keys:
            background(self.connect(server).call, "hold", {"key": key})
        both = comes_true(lambda: all(map(self.service.has_started, keys)), PROBE_S)
        self.service.release(*keys)
        if not both:
            pytest.skip("its server takes one request at a time")

    def close(self) -> None:
        """Let go of everything, whatever the test left behind."""
        self.service.release_all()
        self._made.close()

    def _keep(self, made: C, limit_s: float) -> C:
        def close() -> None:
            with at_most(limit_s, f"closing the {type(made).__name__} of a test that had ended"):
                made.close()

        self._made.callback(close)
        return made


def once(client: kt.Client, method: str, timeout_s: float = LONG_S, **params: Any) -> dict[str, Any]:
    """One attempt at a call, where `call` might make a second; fails where it does not end in time."""
    with at_most(timeout_s + GRACE_S, f"a call of {method} with {timeout_s:g} s"):
        return client.request(one_copy(method, timeout_s, **params)).result(method)


def one_copy(method: str, timeout_s: float, **params: Any) -> kt.Request:
    """A request whose caller waits less than its server is told: what arrives late is run nevertheless, and the caller's
    time is what ends."""
    return kt.Request(method, params, timeout_s=timeout_s, beyond_s=LONG_S)


def _endpoint(peer: kt.RunningServer | str) -> str:
    return peer if isinstance(peer, str) else peer.endpoint
