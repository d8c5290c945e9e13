"""Clients and servers of the transport that `KATO_ZMQ_IMPLEMENTATION` names, at `ZMQ_PORT` where no port is given."""

from __future__ import annotations

from typing import Any

from kato_transport.compat.clients import ImprovedZMQClient, ZMQClient
from kato_transport.compat.environment import ZMQ_PORT, chosen_zmq_port, implementation
from kato_transport.compat.line import Line
from kato_transport.compat.server import ProcessorServer
from kato_transport.compat.thread_pool import ZMQConnectionPool
from kato_transport.errors import ConfigurationError


def get_zmq_implementation() -> str:
    """The name of the transport in force: `improved`, `basic` (for `legacy`, too), or another that is installed."""
    return implementation()


def get_zmq_server(primitive: Any, port: int = ZMQ_PORT) -> ProcessorServer:
    """A server of a processor, not yet started."""
    return ProcessorServer(primitive, chosen_zmq_port(port), implementation())


def get_zmq_client(host: str = "localhost", port: int = ZMQ_PORT, timeout: int = 5000) -> ZMQClient | ImprovedZMQClient:
    """A client; for transports that KATO did not have, an `ImprovedZMQClient` that speaks them."""
    return _client(implementation(), host, chosen_zmq_port(port), timeout)


class ZMQClientFactory:
    """Makes clients and pools."""

    @staticmethod
    def create_client(
        host: str = "localhost", port: int = ZMQ_PORT, timeout: int = 5000, force_implementation: str | None = None
    ) -> ZMQClient | ImprovedZMQClient:
        """As `get_zmq_client`, but of a transport by name; `ValueError` where there is none of that name."""
        try:
            name = implementation(force_implementation)
        except ConfigurationError as exc:
            raise ValueError(f"Invalid implementation: {exc}") from exc
        return _client(name, host, chosen_zmq_port(port), timeout)

    @staticmethod
    def create_pooled_client(host: str = "localhost", port: int = ZMQ_PORT, timeout: int = 5000) -> ZMQConnectionPool:
        """A pool with a client per thread."""
        return ZMQConnectionPool(host, chosen_zmq_port(port), timeout)


def _client(name: str, host: str, port: int, timeout: int) -> ZMQClient | ImprovedZMQClient:
    match name:
        case "basic":
            return ZMQClient(host, port, timeout)
        case "improved":
            return ImprovedZMQClient(host, port, timeout)
        case _:
            return ImprovedZMQClient(host, port, timeout, line=Line(name, host, port))
