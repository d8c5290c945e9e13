"""aiozmq.rpc, on asyncio's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiozmq.rpc

from bench.rpc.driver import payload
from bench.rpc.driver.payload import NAP_S, Params


class Methods(aiozmq.rpc.AttrHandler):
    @aiozmq.rpc.method
    def echo(self, params: dict) -> dict:  # it reads the types, and these are what it knows
        return payload.echo(params)

    @aiozmq.rpc.method
    async def nap(self, params: dict) -> dict:
        await asyncio.sleep(NAP_S)
        return params


def serve(variant: str, ready: Callable[[str], None]) -> None:
    asyncio.run(_serve(ready))


async def _serve(ready: Callable[[str], None]) -> None:
    server = await aiozmq.rpc.serve_rpc(Methods(), bind="tcp://127.0.0.1:*")
    (endpoint,) = server.transport.bindings()
    ready(endpoint)
    await asyncio.Event().wait()


class Client:
    """A connection per loop."""

    def __init__(self, endpoint: str, variant: str) -> None:
        self._endpoint = endpoint

    @asynccontextmanager
    async def acalling(self) -> AsyncIterator[Callable[[str, Params], Awaitable[Any]]]:
        client = await aiozmq.rpc.connect_rpc(connect=self._endpoint)
        methods = {"echo": client.call.echo, "nap": client.call.nap}
        try:
            yield lambda method, params: methods[method](params)
        finally:
            client.close()
            await client.wait_closed()
