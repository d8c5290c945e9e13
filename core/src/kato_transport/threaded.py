"""Threads that make calls for whoever does not wait: for transports whose connections have no futures or tasks of their own."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from attrs import evolve

from kato_transport.contracts import Connection
from kato_transport.errors import ConnectFailed
from kato_transport.model import Request, Response

THREADS = 32
"""Calls at a time through a connection that carries one at a time per socket."""


class ThreadedConnection:
    """An `AsyncConnection` on threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._executor = ThreadPoolExecutor(THREADS, "kato-async")

    async def request(self, request: Request) -> Response:
        deadline = time.monotonic() + request.timeout_s

        def call() -> Response:
            return self._connection.request(shortened(request, deadline))

        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def close(self) -> None:
        def close() -> None:
            self._connection.close()
            self._executor.shutdown(wait=True, cancel_futures=True)

        await asyncio.to_thread(close)


def shortened(request: Request, deadline: float) -> Request:
    """The request with what is left of its time after waiting for a thread; `ConnectFailed` where nothing is."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise ConnectFailed(f"{request.method}: all threads were busy for {request.timeout_s:g} s; nothing was sent")
    return evolve(request, timeout_s=left_s)
