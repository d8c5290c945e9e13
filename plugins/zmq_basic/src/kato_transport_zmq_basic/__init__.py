"""The `basic` transport: REQ clients and a REP server, one request at a time.

The ZeroMQ Guide calls the client's side Lazy Pirate: poll for the answer, and where none can come any more, close the
socket and ask again on a new one. Asking again is the retry policy's decision, as not every method may run twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from kato_transport import Capability, ClientOptions, ServerOptions, Service, hookimpl

if TYPE_CHECKING:
    from kato_transport.contracts import Transport
    from kato_transport_zmq_basic.client import BasicConnection
    from kato_transport_zmq_basic.server import BasicServer


class BasicTransport:
    """See the module."""

    name: ClassVar[str] = "basic"
    capabilities: ClassVar[Capability] = Capability.REQUEST_REPLY
    schemes: ClassVar[tuple[str, ...]] = ("tcp", "ipc")

    def connect(self, endpoint: str, options: ClientOptions) -> BasicConnection:
        from kato_transport_zmq_basic.client import BasicConnection

        return BasicConnection(endpoint, options)

    def serve(self, endpoint: str, service: Service, options: ServerOptions) -> BasicServer:
        from kato_transport_zmq_basic.server import BasicServer

        return BasicServer(endpoint, service, options)


@hookimpl
def kato_register_transports() -> Iterable[Transport]:
    return [BasicTransport()]
