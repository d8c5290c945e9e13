"""What a client for threads has beside its callers: a connection on the shared loop, for heartbeats and futures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from kato_transport import ClientOptions, ConnectFailed, Request, Response
from kato_transport.background import background
from kato_transport_zmq_improved.aclient import AsyncImprovedConnection

Callback = Callable[[], None]


class Companion:
    """An `AsyncImprovedConnection` run by somebody who is not on its loop."""

    def __init__(self, endpoint: str, options: ClientOptions, on_new_connection: Callback, on_silence: Callback) -> None:
        async def make() -> AsyncImprovedConnection:
            return AsyncImprovedConnection(endpoint, options, on_new_connection, on_silence)

        self._requests: set[asyncio.Task[Any] | None] = set()
        try:
            background.acquire()
        except OSError as exc:
            raise ConnectFailed(f"no event loop for {endpoint}: {exc}; nothing was sent") from exc
        try:
            self._connection = background.run(make()).result()
        except BaseException:
            background.release()
            raise

    def submit(self, request: Request) -> Future[Response]:
        return background.run(self._request(request))

    def stats(self) -> dict[str, Any]:
        return self._connection.stats()

    def close(self) -> None:
        background.finish(self._end())

    async def _request(self, request: Request) -> Response:
        task = asyncio.current_task()
        self._requests.add(task)
        try:
            return await self._connection.request(request)
        finally:
            self._requests.discard(task)

    async def _end(self) -> None:
        """Close, and let every request notice, so that no future is left without an end."""
        await self._connection.close()
        await asyncio.gather(*filter(None, self._requests), return_exceptions=True)
