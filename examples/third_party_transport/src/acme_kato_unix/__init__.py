"""The `unix` transport: calls over Unix-domain sockets, with nothing but the standard library.

This is the module that the entry point names, so it is imported as soon as somebody selects `unix`, or asks which plugins
there are and what they can do. It therefore does next to nothing: a client is imported once somebody connects, a server
once somebody serves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from kato_transport import Capability, ClientOptions, ServerOptions, Service, hookimpl

if TYPE_CHECKING:
    from acme_kato_unix.aclient import AsyncUnixConnection
    from acme_kato_unix.client import UnixConnection
    from acme_kato_unix.server import UnixServer
    from kato_transport.contracts import Transport


class UnixTransport:
    """Two factories and a promise. It needs no base class: having these members is what makes it a transport."""

    name: ClassVar[str] = "unix"
    capabilities: ClassVar[Capability] = Capability.REQUEST_REPLY | Capability.MULTIPLEX
    schemes: ClassVar[tuple[str, ...]] = ("unix",)

    def connect(self, endpoint: str, options: ClientOptions) -> UnixConnection:
        from acme_kato_unix.client import UnixConnection

        return UnixConnection(endpoint, options)

    def aconnect(self, endpoint: str, options: ClientOptions) -> AsyncUnixConnection:
        """Not every transport has this; without it, asynchronous clients run `connect`'s connection on threads."""
        from acme_kato_unix.aclient import AsyncUnixConnection

        return AsyncUnixConnection(endpoint, options)

    def serve(self, endpoint: str, service: Service, options: ServerOptions) -> UnixServer:
        from acme_kato_unix.server import UnixServer

        return UnixServer(endpoint, service, options)


@hookimpl
def kato_register_transports() -> Iterable[Transport]:
    return [UnixTransport()]
