"""uvicorn's HTTP protocols on a listening socket: without its logging, its banner and its signal handlers.

`uvicorn.Server` looks every 0.1 s whether it should end and leaves connections open that do not; here an event ends it,
requests under way get the drain time, and nothing is left after that.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from contextlib import suppress
from email.utils import formatdate
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.loops.auto import auto_loop_factory
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from kato_transport.http.accepting import Acceptor
from kato_transport.model import ErrorCode, Response

log = logging.getLogger("kato_transport.http")

KEEP_ALIVE_S = 75
"""Seconds after which an idle connection is closed; clients should give theirs up before."""

_POLL_S = 0.005


class QuietConfig(Config):
    """A configuration that leaves the process's logging alone."""

    def configure_logging(self) -> None:
        """Nothing: a library does not."""


class JsonProtocol:
    """Mixed into the protocol uvicorn chose: what is not HTTP is refused in JSON, and logs go to this library's logger."""

    transport: asyncio.Transport
    cycle: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = log
        self.access_log = False

    def send_400_response(self, msg: str) -> None:
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            self.transport.write(_BAD_REQUEST)
        self.transport.close()


def _bad_request() -> bytes:
    body = json.dumps(Response.error("the request is not valid HTTP", ErrorCode.INVALID_PARAMS).body).encode()
    head = ("HTTP/1.1 400 Bad Request", "content-type: application/json", f"content-length: {len(body)}", "connection: close")
    return "\r\n".join([*head, "", ""]).encode() + body


_BAD_REQUEST = _bad_request()


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, and on Windows one that can wait for sockets."""
    return auto_loop_factory(use_subprocess=True)()


def configuration(app: ASGIApp) -> Config:
    """uvicorn's configuration; httptools and uvloop are used where they are installed."""
    return QuietConfig(
        app,
        http=type("Protocol", (JsonProtocol, AutoHTTPProtocol), {}),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        workers=1,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )


class HttpListener:
    """Serves an application on a socket, in the running loop."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._config = configuration(self._answer)
        self._config.load()
        self._state = ServerState()

    def start(self, listening: socket.socket) -> None:
        """Take connections from now on; the socket is closed with this listener."""
        loop = asyncio.get_running_loop()
        make: Any = self._config.http_protocol_class
        self._acceptor = Acceptor(
            listening, lambda: make(config=self._config, server_state=self._state, app_state={}, _loop=loop)
        )

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Keep the date header right until `stop` is set."""
        while not stop.is_set():
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            try:
                async with asyncio.timeout(1.0):
                    await stop.wait()
            except TimeoutError:
                continue

    async def close(self, drain_s: float) -> None:
        """Refuse new connections, give requests under way `drain_s`, then hang up.

        What is cut off gets no answer: it may have run, which no answer that invites to try again should hide.
        """
        await self._acceptor.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if await self._all_done(drain_s):
            return
        log.warning("closed with %d requests unanswered after %g s", len(self._state.tasks), drain_s)
        for connection in list(self._state.connections):
            connection.transport.abort()
        tasks = list(self._state.tasks)
        await asyncio.sleep(0)  # lets uvicorn see that the connections are gone
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)

    def file_descriptors(self) -> list[int]:
        """Of the open connections."""
        return [connection.transport.get_extra_info("socket").fileno() for connection in self._state.connections]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):  # by `close`: nobody waits for the answer any more
            await self._app(scope, receive, send)

    async def _all_done(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                while self._state.connections or self._state.tasks:  # noqa: ASYNC110 -- uvicorn keeps sets, not events
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False
        return True
