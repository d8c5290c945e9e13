"""`zeroapi` (github.com/Ananto30/zero): DEALER clients, a ZeroMQ proxy, and by default a process per core that serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from zero import AsyncZeroClient, ZeroClient, ZeroServer

from bench.rpc.driver import payload
from bench.rpc.driver.payload import Params, free_port

HOST, TIMEOUT_MS = "127.0.0.1", 20_000


def echo(params: dict) -> dict:  # it reads the types, and these are what it knows
    return payload.echo(params)


def nap(params: dict) -> dict:
    return payload.nap(params)


def serve(variant: str, ready: Callable[[str], None]) -> None:
    port = free_port()
    server = ZeroServer(host=HOST, port=port)
    server.register_rpc(echo)
    server.register_rpc(nap)
    ready(str(port))
    server.run()


class Client:
    """One, which keeps a connection for each thread."""

    def __init__(self, endpoint: str, variant: str) -> None:
        self._port = int(endpoint)

    @contextmanager
    def calling(self) -> Iterator[Callable[[str, Params], Any]]:
        client = ZeroClient(HOST, self._port, default_timeout=TIMEOUT_MS)
        try:
            yield client.call
        finally:
            client.close()

    @contextmanager
    def pipelining(self, in_flight: int) -> Iterator[Callable[[str, Params, int], list[Any]]]:
        """By its asyncio client."""
        client = AsyncZeroClient(HOST, self._port, default_timeout=TIMEOUT_MS)

        async def make(method: str, params: Params, count: int) -> list[Any]:
            answers, left = [], iter(range(count))

            async def some() -> None:
                for _ in left:
                    answers.append(await client.call(method, params))

            await asyncio.gather(*(some() for _ in range(in_flight)))
            return answers

        with asyncio.Runner() as runner:
            runner.run(client.call("echo", {}))  # connects; calls that connect at once would each do so
            yield lambda method, params, count: runner.run(make(method, params, count))
