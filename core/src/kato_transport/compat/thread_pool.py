"""`ZMQConnectionPool`: a client for each thread, over one connection that all of them share.

A client here is light: the sockets are the connection's, as many as calls are made at once. So a thread that ends leaves
nothing behind, and one that finds every socket in use waits for it.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

from kato_transport import fork
from kato_transport.compat.clients import ImprovedZMQClient, ZMQClient
from kato_transport.compat.environment import implementation
from kato_transport.compat.line import Line
from kato_transport.compat.tally import Tally, rate

AnyClient = ZMQClient | ImprovedZMQClient


class ZMQConnectionPool:
    """Clients of the transport that `KATO_ZMQ_IMPLEMENTATION` names.

    Once in `health_check_interval` seconds, a thread that asks for its client makes sure of the server first; where there
    is no answer, the connection is made anew, at most once in `reconnect_interval` milliseconds.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 5555,
        timeout: int = 5000,
        health_check_interval: float = 30,
        reconnect_interval: int = 1000,
    ) -> None:
        self.host = host
        self.port = port
        self.timeout = timeout
        self.health_check_interval = health_check_interval
        self.reconnect_interval = reconnect_interval
        name = implementation()
        self._client_class = ZMQClient if name == "basic" else ImprovedZMQClient
        self._line = Line(name, host, port, shared=True)
        self._tally = Tally()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._clients: weakref.WeakSet[AnyClient] = weakref.WeakSet()
        self._total_connections = 0
        self._checked = time.monotonic()
        self._reopened = 0.0
        fork.watch(self)

    def get_client(self) -> AnyClient:
        """This thread's client."""
        client: AnyClient | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._new_client()
        if self._check_is_due():
            self._check_health(client)
        return client

    def execute(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """What this thread's client gives for one of its methods; counted as failed where it raises."""
        with self._tally.counted():
            return getattr(self.get_client(), method)(*args, **kwargs)

    def cleanup_thread(self) -> None:
        """Let go of this thread's client; the end of the thread does so, too."""
        client: AnyClient | None = getattr(self._local, "client", None)
        if client is not None:
            del self._local.client
            client.close()
            with self._lock:
                self._clients.discard(client)

    def shutdown(self) -> None:
        """Let go of every client and of the connection; idempotent."""
        with self._lock:
            clients = list(self._clients)
            self._clients.clear()
        for client in clients:
            client.close()
        self._line.close()

    def get_stats(self) -> dict[str, Any]:
        """Clients made, clients of threads that live, requests of `execute`, and what became of the connection."""
        figures = self._tally.figures()
        total, failed = figures["total_requests"], figures["failed_requests"]
        with self._lock:
            made, active = self._total_connections, len(self._clients)
        return {
            "total_connections": made,
            "active_connections": active,
            "total_requests": total,
            "failed_requests": failed,
            "reconnections": self._line.reconnections,
            "failure_rate": rate(failed, total),
        }

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()

    def _new_client(self) -> AnyClient:
        client = self._client_class(self.host, self.port, self.timeout, line=self._line)
        with self._lock:
            self._clients.add(client)
            self._total_connections += 1
        return client

    def _check_is_due(self) -> bool:
        """Whether it is this thread that has to check: one of all that ask."""
        now = time.monotonic()
        if now - self._checked < self.health_check_interval:
            return False
        with self._lock:
            if now - self._checked < self.health_check_interval:
                return False
            self._checked = now
            return True

    def _check_health(self, client: AnyClient) -> None:
        now = time.monotonic()
        if not client.ping() and now - self._reopened >= self.reconnect_interval / 1000:
            self._reopened = now
            self._line.reopen()
