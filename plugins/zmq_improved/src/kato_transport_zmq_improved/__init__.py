"""The `improved` transport, the default: DEALER clients and a ROUTER server.

The ZeroMQ Guide calls the pattern Paranoid Pirate: correlation ids, many requests in flight, heartbeats of the
client by which both sides notice silence. Old
KATO clients of both framings and new clients share one port; whatever frames lie between identity and message are the
envelope, and are echoed untouched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from kato_transport import Capability, ClientOptions, ServerOptions, Service, hookimpl

if TYPE_CHECKING:
    from kato_transport.contracts import Transport
    from kato_transport_zmq_improved.aclient import AsyncImprovedConnection
    from kato_transport_zmq_improved.client import ImprovedConnection
    from kato_transport_zmq_improved.server import ImprovedServer


class ImprovedTransport:
    """See the module."""

    name: ClassVar[str] = "improved"
    capabilities: ClassVar[Capability] = Capability.REQUEST_REPLY | Capability.MULTIPLEX | Capability.HEARTBEAT
    schemes: ClassVar[tuple[str, ...]] = ("tcp", "ipc")

    def connect(self, endpoint: str, options: ClientOptions) -> ImprovedConnection:
        from kato_transport_zmq_improved.client import ImprovedConnection

        return ImprovedConnection(endpoint, options)

    def aconnect(self, endpoint: str, options: ClientOptions) -> AsyncImprovedConnection:
        from kato_transport_zmq_improved.aclient import AsyncImprovedConnection

        return AsyncImprovedConnection(endpoint, options)

    def serve(self, endpoint: str, service: Service, options: ServerOptions) -> ImprovedServer:
        from kato_transport_zmq_improved.server import ImprovedServer

        return ImprovedServer(endpoint, service, options)


@hookimpl
def kato_register_transports() -> Iterable[Transport]:
    return [ImprovedTransport()]
