"""The gateway on a bound socket: in front of another server, or of a service of this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kato_transport.contracts import AsyncConnection, ServerOptions, Service
from kato_transport.http.listener import Responder
from kato_transport.http.server import HttpServer
from kato_transport.http.upstream import LocalUpstream
from kato_transport.runner import Runner
from kato_transport.wire import DEFAULT_TIMEOUT_S
from kato_transport_rest.answers import CODECS
from kato_transport_rest.cors import Cors
from kato_transport_rest.gateway import Gateway
from kato_transport_rest.settings import RestSettings


class GatewayServer(HttpServer):
    """Serves until it is closed. What the factory of the upstream raises, the constructor raises."""

    def __init__(
        self,
        endpoint: str,
        make_upstream: Callable[[], AsyncConnection],
        options: ServerOptions,
        settings: RestSettings,
        timeout_s: float,
    ) -> None:
        @asynccontextmanager
        async def app() -> AsyncIterator[Responder]:
            upstream = make_upstream()
            try:
                strict, origins = settings.strict_processor_id, settings.cors_origins
                gateway = Gateway(upstream, options, timeout_s=timeout_s, strict_processor_id=strict)
                yield Cors(gateway, origins) if origins else gateway
            finally:
                await upstream.close()

        super().__init__(endpoint, app, options.drain_s, "kato-rest")


class ServiceServer:
    """A gateway in front of a service of this process."""

    def __init__(self, endpoint: str, service: Service, options: ServerOptions, settings: RestSettings) -> None:
        features = ["deadline"] + [codec.name for codec in CODECS if codec.name != options.codec.name]
        self._runner = Runner(service, options, features, name="kato-rest")
        self._gateway = GatewayServer(endpoint, self._upstream, options, settings, DEFAULT_TIMEOUT_S)
        self.endpoint = self._gateway.endpoint

    def close(self) -> None:
        """As `GatewayServer.close`; requests and handlers get the drain time together."""
        self._gateway.stop()
        self._runner.close()
        self._gateway.close()

    def _upstream(self) -> LocalUpstream:
        return LocalUpstream(self._runner)
