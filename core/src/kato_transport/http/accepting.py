"""Taking connections from a listening socket.

asyncio's own server, when it is closed, drops connections that it has accepted and not yet handed to their protocol: they
stay open until they are collected. This one hands over every connection that it accepts.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

log = logging.getLogger("kato_transport.http")

_AT_ONCE = 64
_PAUSE_S = 0.1
"""Seconds to wait after the system refused a connection, as it does when file descriptors run out."""


class Acceptor:
    """Makes a protocol for each connection, in the running loop, until it is closed."""

    def __init__(self, listening: socket.socket, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listening = listening
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._handing_over: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._loop.add_reader(listening, self._accept)

    async def close(self) -> None:
        """Take no more connections, and hand over those taken."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        await asyncio.gather(*self._handing_over)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                log.warning("cannot accept connections: %s", exc)
                self._loop.remove_reader(self._listening)
                self._resume = self._loop.call_later(_PAUSE_S, self._loop.add_reader, self._listening, self._accept)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._hand_over(connection))
            self._handing_over.add(task)
            task.add_done_callback(self._handing_over.discard)

    async def _hand_over(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client is gone already
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
