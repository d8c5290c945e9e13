"""The asynchronous connection: one DEALER shared by every task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from kato_transport import ClientOptions, Request, Response
from kato_transport.errors import CallTimeout, ClientClosed, ConnectFailed
from kato_transport.protocol.correlation import CorrelationIds
from kato_transport_zmq_improved.dealer import PLAIN, Dealer
from kato_transport_zmq_improved.framing import Frames, request_frames, response_in
from kato_transport_zmq_improved.negotiation import NONE, PING, Abilities, abilities


class AsyncImprovedConnection:
    """Made on a running event loop, and used on it.

    `on_new_connection` is called when another server may have come, `on_silence` when the server has gone silent.

    Old servers are asked one request at a time, as their answers carry nothing to tell them apart.
    """

    def __init__(
        self,
        endpoint: str,
        options: ClientOptions,
        on_new_connection: Callable[[], None] = lambda: None,
        on_silence: Callable[[], None] = lambda: None,
    ) -> None:
        self._endpoint = endpoint
        self._options = options
        self._ids = CorrelationIds()
        self._server: Abilities | None = None
        self._one_at_a_time = asyncio.Lock()
        self._closed = False
        self._dealer = Dealer(endpoint, options, self._forget_features, on_silence)
        self._on_new_connection = on_new_connection

    async def request(self, request: Request) -> Response:
        if self._closed:
            raise ClientClosed(f"the client of {self._endpoint} is closed")
        deadline = time.monotonic() + request.timeout_s
        if self._server is None:
            await self._negotiate(request, deadline)
        server = self._server or NONE
        codec, limit = self._options.codec, self._options.max_message_bytes
        frames = request_frames(codec, request, limit, server, deadline - time.monotonic())
        if server.correlation:
            answer = await self._dealer.exchange(request, frames, self._ids.next(), deadline)
        else:
            answer = await self._plain(request, frames, deadline)
        return response_in(codec, answer, limit)

    def stats(self) -> dict[str, Any]:
        """Seconds since the server was last heard, and how often the connection came back."""
        return {"silent_s": self._dealer.silent_s, "reconnections": max(self._dealer.reconnections, 0)}

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._dealer.close()

    def _forget_features(self) -> None:
        self._server = None
        self._on_new_connection()

    async def _negotiate(self, request: Request, deadline: float) -> None:
        """Ask once, however many tasks would like to know."""
        async with self._turn(request, deadline):
            if self._server is None:
                answer = await self._alone(request, [self._options.codec.encode(PING)], deadline)
                self._server = abilities(self._options, answer[-1])

    async def _plain(self, request: Request, frames: Frames, deadline: float) -> list[bytes]:
        async with self._turn(request, deadline):
            return await self._alone(request, frames, deadline)

    async def _alone(self, request: Request, frames: Frames, deadline: float) -> list[bytes]:
        """The one exchange without correlation; given up, it takes the socket with it, as its answer may come late."""
        try:
            return await self._dealer.exchange(request, frames, PLAIN, deadline)
        except (CallTimeout, asyncio.CancelledError):
            self._dealer.reopen("an earlier call was given up")
            raise

    @asynccontextmanager
    async def _turn(self, request: Request, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._one_at_a_time.acquire()
        except TimeoutError:
            raise ConnectFailed(f"{request.method}: others went before, one at a time; nothing was sent") from None
        try:
            if self._closed:
                raise ClientClosed(f"the client of {self._endpoint} is closed")
            yield
        finally:
            self._one_at_a_time.release()
