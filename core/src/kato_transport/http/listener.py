"""Connections of a listening socket, from the first to the last.

An event ends it, requests under way get the drain time, and nothing is left after that.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Final, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope

from kato_transport.http.accepting import Acceptor
from kato_transport.http.connection import HttpConnection, Shared

log = logging.getLogger("kato_transport.http")

KEEP_ALIVE_S: Final = 75
"""Seconds after which a connection is closed on which the client does nothing; clients should give theirs up before."""

TICK_S: Final = 1.0
_POLL_S: Final = 0.005


class Responder(Protocol):
    """What answers requests: an `Application`, or what stands in front of one. Never raises."""

    def respond(self, scope: Scope, receive: Receive) -> Awaitable[Response]: ...


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, and on Windows one that can wait for sockets."""
    make: Callable[[], asyncio.AbstractEventLoop]
    try:
        from uvloop import new_event_loop as make
    except ImportError:
        make = asyncio.SelectorEventLoop
    return make()


class HttpListener:
    """Serves an application on a socket, in the running loop."""

    def __init__(self, app: Responder) -> None:
        self._shared = Shared(app.respond)

    def start(self, listening: socket.socket) -> None:
        """Take connections from now on; the socket is closed with this listener."""
        self._tick()
        self._acceptor = Acceptor(listening, lambda: HttpConnection(self._shared))

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Keep the date right, and close connections that stand still, until `stop` is set."""
        while not stop.is_set():
            self._tick()
            try:
                async with asyncio.timeout(TICK_S):
                    await stop.wait()
            except TimeoutError:
                continue

    async def close(self, drain_s: float) -> None:
        """Refuse new connections, give requests under way `drain_s`, then hang up.

        What is cut off gets no answer: it may have run, which no answer that invites to try again should hide.
        """
        self._shut_down()  # before anybody can see the end: an answer given after that is a connection's last
        await self._acceptor.close()
        self._shut_down()  # those that were handed over meanwhile
        if await self._all_done(drain_s):
            return
        connections = self._shared.connections
        log.warning("closed with %d requests unanswered after %g s", sum(one.is_busy for one in connections), drain_s)
        tasks = [connection.task for connection in connections]
        for connection in list(connections):
            connection.transport.abort()
            connection.task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # lets the transports go

    def file_descriptors(self) -> list[int]:
        """Of the open connections."""
        return [connection.file_descriptor() for connection in self._shared.connections]

    def _shut_down(self) -> None:
        for connection in list(self._shared.connections):
            connection.shutdown()

    def _tick(self) -> None:
        shared = self._shared
        shared.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        shared.now = now = asyncio.get_running_loop().time()
        for connection in list(shared.connections):
            connection.give_up_if_stuck(now - KEEP_ALIVE_S)

    async def _all_done(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                while self._shared.connections:  # noqa: ASYNC110 -- a set is no event
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False
        return True
