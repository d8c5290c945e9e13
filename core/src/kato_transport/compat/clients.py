"""The two clients: `ZMQClient` for the basic transport, `ImprovedZMQClient` for the improved one."""

from __future__ import annotations

import uuid
from abc import abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NoReturn, Self

from kato_transport.compat.errors import ServerError, Unreachable
from kato_transport.compat.line import Line
from kato_transport.compat.methods import Answer, KatoMethods
from kato_transport.compat.tally import Tally
from kato_transport.errors import CallTimeout, ClientClosed, ConnectFailed, ConnectionLost, RemoteError

Unanswered = CallTimeout | ConnectFailed | ConnectionLost

_PING_MS = 1000
"""Longest wait of a `ping`, which only asks whether somebody is there."""


class KatoClient(KatoMethods):
    """What both clients do; may be shared by threads."""

    _ping_method = "ping"

    def __init__(self, host: str, port: int, timeout: int, line: Line) -> None:
        self.host = host
        self.port = port
        self.timeout = timeout
        self._line = line
        self._tally = Tally()
        self._closed = False

    def call(self, method: str, params: Mapping[str, Any] | None = None, timeout: int | None = None) -> Answer:
        """The answer to a method by its wire name, within `timeout` milliseconds, by default the client's.

        `ServerError` where the answer is an error. A call that may have run is made again only where that does no harm.
        """
        if self._closed:
            raise ClientClosed(f"the client of {self.host}:{self.port} is closed")
        with self._tally.counted():
            try:
                return self._line.call(method, params or {}, (timeout or self.timeout) / 1000, self._may_repeat)
            except RemoteError as exc:
                raise ServerError(f"Server error: {exc.message}") from exc
            except (CallTimeout, ConnectFailed, ConnectionLost) as exc:
                self._raise_unanswered(exc)

    def ping(self) -> bool:
        """Whether the server answers; never raises."""
        try:
            return self.call(self._ping_method, timeout=min(_PING_MS, self.timeout)).get("status") == "okay"
        except Exception:
            return False

    def is_connected(self) -> bool:
        """Whether there is an open connection, and the last call found a server at its other end."""
        return not self._closed and self._line.is_connected

    def close(self) -> None:
        """Let go of the connection, for good; idempotent."""
        self._closed = True
        if not self._line.shared:
            self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def _may_repeat(self) -> bool | None:
        """What the core is told about a call's idempotence: None lets it go by the method."""
        return None

    @abstractmethod
    def _raise_unanswered(self, exc: Unanswered) -> NoReturn:
        """Raise what users of this client expect when no answer came."""


class ZMQClient(KatoClient):
    """Calls over the basic transport; a basic server, an improved one and the original's REP server answer it.

    A call without an answer raises `zmq.Again`. `line` is for pools: a connection to share with other clients.
    """

    _ping_method = "get_name"
    """The original's basic server knows no ping."""

    def __init__(self, host: str = "localhost", port: int = 5555, timeout: int = 5000, *, line: Line | None = None) -> None:
        super().__init__(host, port, timeout, line or Line("basic", host, port))

    def reset_connection(self) -> None:
        """Connect anew."""
        self._line.reopen()

    def _raise_unanswered(self, exc: Unanswered) -> NoReturn:
        import zmq

        again = zmq.Again()
        again.add_note(str(exc))
        raise again from exc


class ImprovedZMQClient(KatoClient):
    """Calls over the improved transport; improved servers answer it, this project's and the original's.

    A call without an answer raises `TimeoutError`, and where nobody is there `Unreachable`, which is one. `max_retries`
    of 1 or less forbids repeating even what only reads. `line` is for pools: a connection to share with other clients.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 5555,
        timeout: int = 5000,
        heartbeat_interval: int = 10000,
        max_retries: int = 3,
        *,
        line: Line | None = None,
    ) -> None:
        line = line or Line("improved", host, port, heartbeat_interval_s=heartbeat_interval / 1000)
        super().__init__(host, port, timeout, line)
        self.heartbeat_interval = heartbeat_interval
        self.max_retries = max_retries
        self._identity = str(uuid.uuid4())

    def connect(self) -> None:
        """Open the connection, unless it is; the first call does so, too. Does not wait for the server."""
        self._line.open()

    def disconnect(self) -> None:
        """Let go of the connection; the next call opens another."""
        self._line.drop()

    def get_stats(self) -> dict[str, Any]:
        """Requests by outcome, and what became of the connection."""
        return {
            "identity": self._identity,
            "connected": self.is_connected(),
            **self._tally.figures(),
            "reconnections": self._line.reconnections,
        }

    def __enter__(self) -> Self:
        self.connect()
        return self

    @property
    def _may_repeat(self) -> bool | None:
        return None if self.max_retries > 1 else False

    def _raise_unanswered(self, exc: Unanswered) -> NoReturn:
        if isinstance(exc, CallTimeout):
            raise exc
        raise Unreachable(str(exc)) from exc
