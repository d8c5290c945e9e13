"""Everything served over each way there is from a client to a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from attrs import frozen

import kato_transport as kt

WAIT_S = 10.0
"""What anything in these tests may take at most before it counts as not happening."""

ENDPOINTS = {"memory": "memory://", "basic": "tcp://127.0.0.1:0", "improved": "tcp://127.0.0.1:0", "rest": "http://127.0.0.1:0"}
WAYS = [*ENDPOINTS, "gateway"]


@frozen
class Way:
    """How clients reach a server."""

    endpoint: str
    transport: str

    def connect(self, **options: Any) -> kt.Client:
        return kt.connect(self.endpoint, transport=self.transport, **{"timeout_s": WAIT_S, **options})

    def aconnect(self, **options: Any) -> kt.AsyncClient:
        return kt.aconnect(self.endpoint, transport=self.transport, **{"timeout_s": WAIT_S, **options})

    def connection(self, **options: Any) -> Any:
        """The transport's own, which sends requests as they are."""
        client_options = kt.ClientOptions(codec=kt.registry().codec("msgpack"), **options)
        return kt.registry().transport(self.transport).connect(self.endpoint, client_options)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is entered here is let go of at the test's end, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(closing: ExitStack) -> Callable[..., Way]:
    """`serve(way, served, **options)`: the way to it; the gateway is an HTTP one before an improved server."""

    def serve_(way: str, served: Any, **options: Any) -> Way:
        own = "improved" if way == "gateway" else way
        server = closing.enter_context(kt.serve(served, ENDPOINTS[own], transport=own, **{"drain_s": 1.0, **options}))
        if way != "gateway":
            return Way(server.endpoint, way)
        before = closing.enter_context(kt.gateway(ENDPOINTS["rest"], server.endpoint, upstream_transport="improved"))
        return Way(before.endpoint, "rest")

    return serve_


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """The name of each way."""
    return str(request.param)
