"""`ImprovedConnectionPool`: connections lent out one at a time, to whoever asks first.

There is no thread beside it: connections that have lived their time are let go of, and others opened in their place,
whenever one is taken or given back. Heartbeats are each connection's own.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from attrs import define

from kato_transport import fork
from kato_transport.compat.clients import ImprovedZMQClient
from kato_transport.compat.errors import PoolExhausted
from kato_transport.compat.methods import Answer
from kato_transport.compat.tally import Tally, rate
from kato_transport.errors import ClientClosed

log = logging.getLogger("kato_transport.compat")


@define(eq=False)
class _Kept:
    """A connection of the pool."""

    id: str
    client: ImprovedZMQClient
    opened_at: float
    lent_to: int = 0
    """The thread that has it."""


class ImprovedConnectionPool:
    """At least `min_connections`, at most `max_connections`, each for `connection_lifetime` seconds of use at most."""

    def __init__(
        self,
        host: str = "localhost",
        port: int = 5555,
        timeout: int = 5000,
        min_connections: int = 1,
        max_connections: int = 10,
        connection_lifetime: float = 3600,
        heartbeat_interval: int = 10000,
    ) -> None:
        self.host = host
        self.port = port
        self.timeout = timeout
        self.min_connections = min_connections
        self.max_connections = max_connections
        self.connection_lifetime = connection_lifetime
        self.heartbeat_interval = heartbeat_interval
        self._changed = threading.Condition()
        self._idle: list[_Kept] = []
        self._lent: dict[str, _Kept] = {}
        self._closed = False
        self._created = 0
        self._reuses = 0
        self._tally = Tally()
        fork.watch(self)
        self._replace_expired()

    def acquire(self) -> tuple[ImprovedZMQClient, str]:
        """A client for this caller alone, and the id to `release` it by; `PoolExhausted` where none came free in time."""
        return self._acquire(self.timeout / 1000)

    def release(self, conn_id: str) -> None:
        """Give a connection back; one that has lost its server, or lived its time, is let go of."""
        with self._changed:
            kept = self._lent.pop(conn_id, None)
            if kept is None:
                log.warning("released a connection that is not lent: %s", conn_id)
                return
            if self._is_good(kept):
                self._idle.append(kept)
                kept = None
            self._changed.notify()
        if kept is not None:
            kept.client.close()
        self._replace_expired()

    def execute(self, method: str, params: Mapping[str, Any] | None = None, timeout: int | None = None) -> Answer:
        """The answer to a wire method; waiting for a connection and for the answer share `timeout` milliseconds."""
        timeout = timeout or self.timeout
        with self._tally.counted():
            deadline = time.monotonic() + timeout / 1000
            client, conn_id = self._acquire(timeout / 1000)
            try:
                return client.call(method, params, max(1, int((deadline - time.monotonic()) * 1000)))
            finally:
                self.release(conn_id)

    def shutdown(self) -> None:
        """Let go of every connection, lent or not; idempotent."""
        with self._changed:
            self._closed = True
            connections = [*self._idle, *self._lent.values()]
            self._idle.clear()
            self._lent.clear()
            self._changed.notify_all()
        for kept in connections:
            kept.client.close()

    def get_stats(self) -> dict[str, Any]:
        """Connections kept and lent, requests of `execute`, and how often one was taken without opening any."""
        figures = self._tally.figures()
        with self._changed:
            idle, lent, created, reuses = len(self._idle), len(self._lent), self._created, self._reuses
        return {
            "pool_size": idle,
            "active_connections": lent,
            "total_connections": idle + lent,
            "total_created": created,
            **figures,
            "connection_reuses": reuses,
            "reuse_rate": rate(reuses, figures["total_requests"]),
        }

    def after_fork_in_child(self) -> None:
        """What the parent's other threads were lent, nobody gives back here."""
        self._changed = threading.Condition()
        here = threading.get_ident()
        self._lent = {conn_id: kept for conn_id, kept in self._lent.items() if kept.lent_to == here}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.shutdown()

    def _acquire(self, wait_s: float) -> tuple[ImprovedZMQClient, str]:
        deadline = time.monotonic() + wait_s
        self._replace_expired()
        with self._changed:
            while (kept := self._take()) is None:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise PoolExhausted(f"Connection pool exhausted (max: {self.max_connections}, waited {wait_s:g} s)")
            kept.lent_to = threading.get_ident()
            self._lent[kept.id] = kept
            return kept.client, kept.id

    def _take(self) -> _Kept | None:
        """A connection that is free, or a new one where there is room for it."""
        if self._closed:
            raise ClientClosed(f"the pool of {self.host}:{self.port} is shut down")
        if self._idle:
            self._reuses += 1
            return self._idle.pop()
        return self._open() if len(self._lent) < self.max_connections else None

    def _open(self) -> _Kept:
        client = ImprovedZMQClient(self.host, self.port, self.timeout, self.heartbeat_interval)
        client.connect()
        self._created += 1
        return _Kept(str(uuid.uuid4()), client, time.monotonic())

    def _replace_expired(self) -> None:
        """Let go of free connections that have lived their time, and open what is missing to the minimum."""
        with self._changed:
            if self._closed:
                return
            expired = [kept for kept in self._idle if not self._is_good(kept)]
            self._idle = [kept for kept in self._idle if kept not in expired]
            while len(self._idle) + len(self._lent) < min(self.min_connections, self.max_connections):
                self._idle.append(self._open())
                self._changed.notify()
        for kept in expired:
            kept.client.close()

    def _is_good(self, kept: _Kept) -> bool:
        return kept.client.is_connected() and time.monotonic() - kept.opened_at < self.connection_lifetime
