"""A server as KATO's scripts run one: `start` serves until somebody calls `stop`."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

from kato_transport.api import RunningServer, serve
from kato_transport.endpoints import default_endpoint
from kato_transport.plugins import registry

EVERY_ADDRESS = "0.0.0.0"
"""Where the original listened, as its clients may be in other containers."""


class ProcessorServer:
    """Serves one processor, on every address of the host; runs once."""

    def __init__(self, primitive: Any, port: int, transport: str) -> None:
        self.primitive = primitive
        self.port = port
        self.running = False
        self._transport = transport
        self._server: RunningServer | None = None
        self._stops: SimpleQueue[None] = SimpleQueue()  # unlike an Event, a signal handler may use it at any moment

    def start(self) -> None:
        """Serve until stopped. `port` is then the one that was bound, so 0 takes any free one, and `running` is true.

        `ConfigurationError` where it cannot serve.
        """
        endpoint = default_endpoint(registry().transport(self._transport), EVERY_ADDRESS, self.port, self.port)
        with serve(self.primitive, endpoint, transport=self._transport) as self._server:
            self.port = port_of(self._server)
            self.running = True
            try:
                self._stops.get()
            finally:
                self.running = False

    def stop(self) -> None:
        """Finish what was taken, let go of the port, and have `start` return; for any thread, and signal handlers."""
        self._stops.put(None)
        if self._server is not None:
            self._server.close()


def port_of(server: RunningServer) -> int:
    """The port a server is bound to."""
    return int(server.endpoint.rpartition(":")[2])
