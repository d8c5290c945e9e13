"""This project's transports. A variant is a transport and what its server is told: `improved inline`."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import kato_transport as kt
from bench.rpc.driver import payload
from bench.rpc.driver.payload import Params

TIMEOUT_S = 20.0


def echo(**params: Any) -> dict[str, Any]:
    return params


@kt.inline
def echo_inline(**params: Any) -> dict[str, Any]:
    return params


def nap(**params: Any) -> dict[str, Any]:
    return payload.nap(params)


def start(variant: str) -> kt.RunningServer:
    transport, _, told = variant.partition(" ")
    methods = {"echo": echo_inline if told == "inline" else echo, "nap": nap}
    endpoint = {"rest": "http://127.0.0.1:0", "memory": "memory://"}.get(transport, "tcp://127.0.0.1:0")
    return kt.serve(methods, endpoint, transport=transport)


def serve(variant: str, ready: Callable[[str], None]) -> None:
    with start(variant) as server:
        ready(server.endpoint)
        threading.Event().wait()


class Client:
    """One, that all threads share."""

    def __init__(self, endpoint: str, variant: str) -> None:
        self._client = kt.connect(endpoint, transport=variant.partition(" ")[0], timeout_s=TIMEOUT_S)

    @contextmanager
    def calling(self) -> Iterator[Callable[[str, Params], Any]]:
        yield self._client.call


class PipeliningClient(Client):
    @contextmanager
    def pipelining(self, in_flight: int) -> Iterator[Callable[[str, Params, int], list[Any]]]:
        """As many in flight as `call_many` chooses to have, which are 64."""
        yield lambda method, params, count: self._client.call_many([(method, params)] * count)


class BatchingClient(Client):
    @contextmanager
    def pipelining(self, in_flight: int) -> Iterator[Callable[[str, Params, int], list[Any]]]:
        """As many in one message, one message after the other."""

        def make(method: str, params: Params, count: int) -> list[Any]:
            sizes = [min(in_flight, count - begun) for begun in range(0, count, in_flight)]
            return [answer for size in sizes for answer in self._client.batch([(method, params)] * size)]

        yield make


class WithServer(PipeliningClient):
    """Both in one process."""

    def __init__(self, endpoint: str, variant: str) -> None:
        self._server = start(variant)
        super().__init__(self._server.endpoint, variant)


class AsyncClient:
    """One for each loop."""

    def __init__(self, endpoint: str, variant: str) -> None:
        self._endpoint = endpoint
        self._transport = variant.partition(" ")[0]

    @asynccontextmanager
    async def acalling(self) -> AsyncIterator[Callable[[str, Params], Awaitable[Any]]]:
        async with kt.aconnect(self._endpoint, transport=self._transport, timeout_s=TIMEOUT_S) as client:
            yield client.call
