"""Kept HTTP connections to one server, shared by threads and bounded in number."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import suppress

from kato_transport.endpoints import http_endpoint
from kato_transport.errors import ClientClosed, ConnectFailed

IDLE_S = 4.0
"""Seconds a connection is kept unused: less than servers keep theirs (Node and others: 5)."""


class Kept(http.client.HTTPConnection):
    """A connection, and when it was used last."""

    auto_open = 0
    used = False
    idle_since = 0.0

    def is_stale(self) -> bool:
        """Whether the server has hung up, or said something nobody asked for, or may do so any moment."""
        if self.sock is None or time.monotonic() - self.idle_since > IDLE_S:
            return True
        self.sock.setblocking(False)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True


class Pool:
    """Lends connections: the one used last, a new one, or, at the limit, the next one given back."""

    def __init__(self, host: str, port: int, limit: int, connect_timeout_s: float) -> None:
        self._host, self._port = host, port
        self._limit = limit
        self._connect_timeout_s = connect_timeout_s
        self._changed = threading.Condition()
        self._idle: list[Kept] = []
        self._lent: set[Kept] = set()
        self.closed = False

    def take(self, deadline: float, new: bool = False) -> Kept:
        """A connected connection, a `new` one on request; `TimeoutError` where none was to be had by then."""
        connection = self._reserve(deadline, new)
        if connection.sock is None:
            self._connect(connection, deadline)
        if self.closed:
            self.drop(connection)
            raise self._is_closed()
        return connection

    def give_back(self, connection: Kept) -> None:
        """Keep the connection for the next call, unless it was closed."""
        connection.used = True
        connection.idle_since = time.monotonic()
        with self._changed:
            self._lent.discard(connection)
            if connection.sock is not None and not self.closed:
                self._idle.append(connection)
            else:
                connection.close()
            self._changed.notify()

    def drop(self, connection: Kept) -> None:
        """Close the connection and make room for another."""
        connection.close()
        with self._changed:
            self._lent.discard(connection)
            self._changed.notify()

    def close(self) -> None:
        """Close every connection; calls under way on one end at once."""
        with self._changed:
            self.closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            for connection in self._lent:
                _hang_up(connection)
            self._changed.notify_all()

    def _reserve(self, deadline: float, new: bool) -> Kept:
        with self._changed:
            while not self.closed:
                while self._idle:
                    connection = self._idle.pop()
                    if not new and not connection.is_stale():
                        self._lent.add(connection)
                        return connection
                    connection.close()
                if len(self._lent) < self._limit:
                    connection = Kept(self._host, self._port)
                    self._lent.add(connection)
                    return connection
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError
        raise self._is_closed()

    def _connect(self, connection: Kept, deadline: float) -> None:
        within_s = min(self._connect_timeout_s, max(deadline - time.monotonic(), 0.001))
        connection.timeout = within_s
        try:
            connection.connect()
        except (OSError, UnicodeError) as exc:
            self.drop(connection)
            where = http_endpoint(self._host, self._port)
            reason = (
                f"no connection within {within_s:g} s"
                if isinstance(exc, TimeoutError)
                else getattr(exc, "strerror", None) or str(exc)
            )
            raise ConnectFailed(f"nothing answers at {where}: {reason}") from exc

    def _is_closed(self) -> ClientClosed:
        return ClientClosed(f"the client of {http_endpoint(self._host, self._port)} is closed")


def _hang_up(connection: Kept) -> None:
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):  # the server, or the call itself, has done so already
            sock.shutdown(socket.SHUT_RDWR)
