"""HTTP for KATO: a gateway in front of a server or service, and the client that calls methods through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from kato_transport.contracts import AsyncConnection, ClientOptions, EventTransport, Server, ServerOptions, Service, Transport
from kato_transport.hookspecs import hookimpl
from kato_transport.model import Capability
from kato_transport.settings import Settings, load
from kato_transport_rest.client import HttpConnection
from kato_transport_rest.settings import RestSettings

__all__ = ["RestSettings", "RestTransport"]


class RestTransport:
    """KATO's REST API in front of a service, and any method over HTTP for `connect`."""

    name: ClassVar[str] = "rest"
    capabilities: ClassVar[Capability] = Capability.REQUEST_REPLY
    schemes: ClassVar[tuple[str, ...]] = ("http",)

    def connect(self, endpoint: str, options: ClientOptions) -> HttpConnection:
        return HttpConnection(endpoint, options)

    def serve(self, endpoint: str, service: Service, options: ServerOptions) -> Server:
        from kato_transport_rest.server import ServiceServer  # a client needs no HTTP server

        return ServiceServer(endpoint, service, options, load(RestSettings))

    def serve_gateway(
        self,
        endpoint: str,
        upstream: Callable[[], AsyncConnection],
        options: ServerOptions,
        timeout_s: float | None = None,
    ) -> Server:
        """Put KATO's REST API in front of another server; `kato_transport.gateway` is the comfortable way to this.

        `upstream` is called once, in the gateway's event loop, for the one connection that all requests share; what it
        raises is raised here, and the gateway closes what it gives. `timeout_s` is what each of them waits for its answer:
        by default, as for every client, `KATO_TRANSPORT_TIMEOUT_S`.
        """
        from kato_transport_rest.server import GatewayServer

        wait_s = Settings.from_env().timeout_s if timeout_s is None else timeout_s
        return GatewayServer(endpoint, upstream, options, load(RestSettings), wait_s)


@hookimpl
def kato_register_transports() -> Iterable[Transport | EventTransport]:
    return [RestTransport()]


@hookimpl
def kato_register_settings() -> Iterable[type]:
    return [RestSettings]
