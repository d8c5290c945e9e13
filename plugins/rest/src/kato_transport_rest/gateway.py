"""`Gateway`: KATO's REST API as an ASGI application."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping

from starlette.types import Receive, Scope

from kato_transport.contracts import AsyncConnection, ServerOptions
from kato_transport.http.application import Application
from kato_transport_rest.answers import CODECS
from kato_transport_rest.exchange import Exchange, Site
from kato_transport_rest.processors import Processors
from kato_transport_rest.routes import ROUTES


class Gateway(Application[Exchange]):
    """KATO's REST API in front of an upstream; any ASGI server can run it, in the upstream's event loop.

    `timeout_s` is what a request waits for its answer, unless it says so itself.
    """

    def __init__(
        self, upstream: AsyncConnection, options: ServerOptions, *, timeout_s: float, strict_processor_id: bool = False
    ) -> None:
        super().__init__(ROUTES, self._exchange_of)
        prefix = secrets.token_hex(6)
        self._site = Site(
            upstream=upstream,
            processors=Processors(upstream, strict_processor_id, timeout_s),
            timeout_s=timeout_s,
            codecs={codec.content_type: codec for codec in (*CODECS, options.codec)},
            max_message_bytes=options.max_message_bytes,
            unique_ids=(f"rest-{prefix}-{number}" for number in itertools.count(1)),
        )

    def _exchange_of(self, scope: Scope, receive: Receive, names: Mapping[str, str]) -> Exchange:
        return Exchange(scope, receive, names, self._site.max_message_bytes, self._site)
