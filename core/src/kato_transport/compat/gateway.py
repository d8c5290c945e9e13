"""`RestGateway`: KATO's REST API in front of a server, by the rest plugin."""

from __future__ import annotations

import logging

from kato_transport.api import RunningServer, gateway
from kato_transport.compat.environment import REST_PORT, ZMQ_PORT, chosen_rest_port, chosen_zmq_port, implementation
from kato_transport.compat.server import EVERY_ADDRESS, port_of
from kato_transport.endpoints import default_endpoint
from kato_transport.errors import ConfigurationError, UnknownTransport
from kato_transport.plugins import registry

log = logging.getLogger("kato_transport.compat")


class RestGateway:
    """Listens on every address of the host, and reaches the server by the transport of `KATO_ZMQ_IMPLEMENTATION`.

    A port left out is that of `REST_PORT` or `ZMQ_PORT`.
    """

    def __init__(self, port: int = REST_PORT, zmq_host: str = "localhost", zmq_port: int = ZMQ_PORT) -> None:
        self.port = chosen_rest_port(port)
        self.zmq_host = zmq_host
        self.zmq_port = chosen_zmq_port(zmq_port)
        self.server: RunningServer | None = None

    def start(self) -> None:
        """Serve on a thread, until stopped; `port` is then the one that was bound, so 0 takes any free one.

        The server behind it does not have to be there yet. `ConfigurationError` where it cannot serve.
        """
        if self.server is not None:
            return
        upstream = registry().transport(implementation())
        try:
            rest = registry().transport("rest")
        except UnknownTransport as exc:
            raise ConfigurationError("RestGateway needs the rest plugin: pip install kato-transport-rest") from exc
        self.server = gateway(
            default_endpoint(rest, EVERY_ADDRESS, self.port, self.port),
            default_endpoint(upstream, self.zmq_host, self.zmq_port, self.zmq_port),
            transport=rest.name,
            upstream_transport=upstream.name,
        )
        self.port = port_of(self.server)
        log.info("REST gateway on port %d, in front of %s:%d", self.port, self.zmq_host, self.zmq_port)

    def stop(self) -> None:
        """Finish what was taken and let go of the port; idempotent."""
        server, self.server = self.server, None
        if server is not None:
            server.close()
