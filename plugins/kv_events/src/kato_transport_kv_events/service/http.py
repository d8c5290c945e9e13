"""`QueryServer`: the queries over HTTP, beside metrics and what an orchestrator asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from starlette.types import Receive, Scope

from kato_transport.contracts import ServerOptions, Service
from kato_transport.http.application import Application
from kato_transport.http.server import HttpServer
from kato_transport.http.upstream import LocalUpstream
from kato_transport.runner import Runner
from kato_transport_kv_events.service.routes import ROUTES, Exchange, Exposition, Site

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Over a million tokens; reading much more would hold up everybody else."""


class QueryServer:
    """Serves until it is closed; `service` answers the queries, on the workers that the options allow."""

    def __init__(self, endpoint: str, service: Service, metrics: Exposition, options: ServerOptions, timeout_s: float) -> None:
        self._runner = Runner(service, options, name="kato-kv")
        site = Site(LocalUpstream(self._runner), metrics, timeout_s)
        limit = min(options.max_message_bytes, MAX_BODY_BYTES)

        def made(scope: Scope, receive: Receive, names: Mapping[str, str]) -> Exchange:
            return Exchange(scope, receive, names, limit, site)

        @asynccontextmanager
        async def app() -> AsyncIterator[Application[Exchange]]:
            yield Application(ROUTES, made)

        self._http = HttpServer(endpoint, app, options.drain_s, "kato-kv-http")
        self.endpoint = self._http.endpoint

    def close(self) -> None:
        """Refuse what is new, finish what was taken within the drain time, let go of everything; idempotent."""
        self._http.stop()
        self._runner.close()
        self._http.close()
