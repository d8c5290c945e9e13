"""The connection for asyncio: all that a client does, without a thread."""

from __future__ import annotations

import asyncio

from acme_kato_unix.endpoints import socket_path
from acme_kato_unix.link import Link
from kato_transport import CallTimeout, ClientClosed, ClientOptions, ConnectFailed, Request, Response
from kato_transport.wire import decode_response, encode_request

RETRY_S = 0.02
"""How long to wait before knocking again where nobody listens."""


class AsyncUnixConnection:
    """One link for all tasks; a broken one is replaced when the next request comes."""

    def __init__(self, endpoint: str, options: ClientOptions) -> None:
        self._endpoint = endpoint
        self._path = socket_path(endpoint)
        self._options = options
        self._link: Link | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def request(self, request: Request) -> Response:
        """The errors say what became of the request, which tells the caller whether it may try again.

        What cannot be sent is refused first (`LocalProtocolError`), then a peer is looked for (`ConnectFailed`: nothing was
        sent); from then on it may have run (`CallTimeout`, `ConnectionLost`).
        """
        deadline = asyncio.get_running_loop().time() + request.timeout_s
        message = encode_request(self._options.codec, request, self._options.max_message_bytes)
        link = await self._connected(request)
        try:
            async with asyncio.timeout_at(deadline):
                answer = await link.exchange(message)
        except TimeoutError:
            raise CallTimeout(request.method, request.timeout_s, self._endpoint) from None
        return decode_response(self._options.codec, answer, self._options.max_message_bytes)

    async def close(self) -> None:
        self._closed = True
        async with self._connecting:
            if self._link is not None:
                await self._link.close(self._closed_error())

    @property
    def descriptors(self) -> list[int]:
        """Its open sockets."""
        return [] if self._link is None or self._link.broken else [self._link.fileno()]

    async def _connected(self, request: Request) -> Link:
        """The link, made anew where there is none; knocks until the connect timeout, as a server may be restarting."""
        clock = asyncio.get_running_loop().time
        wait_s = min(self._options.connect_timeout_s, request.timeout_s)
        give_up = clock() + wait_s
        while True:
            try:
                return await self._connect()
            except OSError as exc:
                if clock() >= give_up:
                    text = f"{request.method}: nothing listens at {self._endpoint} (waited {wait_s:g} s); nothing was sent"
                    raise ConnectFailed(text) from exc
            await asyncio.sleep(min(RETRY_S, max(give_up - clock(), 0)))

    async def _connect(self) -> Link:
        async with self._connecting:  # one task connects, the others find the link
            if self._closed:
                raise self._closed_error()
            if self._link is None or self._link.broken:
                self._link = await Link.open(self._path, self._options.max_message_bytes)
            return self._link

    def _closed_error(self) -> ClientClosed:
        return ClientClosed(f"the client of {self._endpoint} is closed")
