"""What a client calls through: a core client that can be dropped and opened anew while other threads are using it.

A connection that is dropped is closed by whoever uses it last, so nobody's call is cut off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define

from kato_transport import fork
from kato_transport.client import Client
from kato_transport.contracts import Connection
from kato_transport.endpoints import default_endpoint
from kato_transport.errors import ClientClosed, ConnectFailed, ConnectionLost, RemoteError
from kato_transport.plugins import registry
from kato_transport.reliable import ReliableConnection
from kato_transport.settings import Settings


@define(eq=False)
class _Opened:
    """A connection, with the calls under way through it."""

    client: Client
    connection: Connection
    users: int = 0
    dropped: bool = False


class Line:
    """Safe to be shared by threads; opens with the first call.

    `shared`: several clients use it, so that closing one of them leaves it open. `options` are fields of `ClientOptions`.
    """

    def __init__(self, transport: str, host: str, port: int, *, shared: bool = False, **options: Any) -> None:
        self._transport = transport
        self._host = host
        self._port = port
        self.shared = shared
        self._options = options
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._closed = False
        self._peer_is_there = True
        self._was_connected = False
        self._returns = 0
        self._earlier_reconnections = 0
        fork.watch(self)

    @property
    def is_connected(self) -> bool:
        """Whether it is open, and the last call found a server there; a line that was never used has the benefit of doubt."""
        return self._opened is not None and self._peer_is_there

    @property
    def reconnections(self) -> int:
        """How often the connection was made anew, by the transport or by `reopen`."""
        with self._lock:
            return self._earlier_reconnections + self._reconnections_now()

    def open(self) -> None:
        """Open it, unless it is; does not wait for the server."""
        with self._lock:
            self._open()

    def call(self, method: str, params: Mapping[str, Any], timeout_s: float, idempotent: bool | None) -> dict[str, Any]:
        """As `kato_transport.Client.call`."""
        opened = self._enter()
        try:
            answer = opened.client.call(method, params, timeout_s=timeout_s, idempotent=idempotent)
        except RemoteError:
            self._found_peer()
            raise
        except (ConnectFailed, ConnectionLost):
            self._peer_is_there = False
            raise
        finally:
            self._leave(opened)
        self._found_peer()
        return answer

    def drop(self) -> None:
        """Let go of the connection; the next call opens another."""
        with self._lock:
            opened = self._opened
            if opened is None:
                return
            self._earlier_reconnections += self._reconnections_now()
            self._returns = 0
            self._opened = None
            opened.dropped = True
            unused = not opened.users
        if unused:
            opened.client.close()

    def reopen(self) -> None:
        """Drop the connection for a new one."""
        self.drop()
        with self._lock:
            self._open()
            self._earlier_reconnections += 1
            self._peer_is_there = True

    def close(self) -> None:
        """Let go of everything, for good; idempotent."""
        with self._lock:
            self._closed = True
        self.drop()

    def after_fork_in_child(self) -> None:
        """The calls of the parent's other threads are not under way here."""
        self._lock = threading.Lock()
        if self._opened is not None:
            self._opened.users = 0

    def _open(self) -> _Opened:
        if self._closed:
            raise ClientClosed(f"the client of {self._host}:{self._port} is closed")
        if self._opened is None:
            settings = Settings.from_env()
            transport = registry().transport(self._transport)
            endpoint = default_endpoint(transport, self._host, self._port, self._port)
            options = settings.client_options(registry().codec(settings.codec), **self._options)
            connection = transport.connect(endpoint, options)
            self._opened = _Opened(
                Client(ReliableConnection([(endpoint, connection)], options), endpoint, settings.timeout_s), connection
            )
        return self._opened

    def _enter(self) -> _Opened:
        with self._lock:
            opened = self._open()
            opened.users += 1
            return opened

    def _leave(self, opened: _Opened) -> None:
        with self._lock:
            opened.users -= 1
            unused = opened.dropped and not opened.users
        if unused:
            opened.client.close()

    def _found_peer(self) -> None:
        if self._peer_is_there and self._was_connected:
            return
        with self._lock:
            if not self._peer_is_there and self._was_connected:
                self._returns += 1
            self._peer_is_there = self._was_connected = True

    def _reconnections_now(self) -> int:
        """Of the open connection: what the transport noticed, but at least how often calls found a lost server again."""
        if self._opened is None:
            return 0
        stats: Callable[[], Mapping[str, Any]] = getattr(self._opened.connection, "stats", dict)
        return max(int(stats().get("reconnections", 0)), self._returns)
