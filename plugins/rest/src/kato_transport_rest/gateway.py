"""`Gateway`: the ASGI application, from a request's path to its answer."""

from __future__ import annotations

import itertools
import logging
import secrets

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kato_transport.contracts import AsyncConnection, ServerOptions
from kato_transport.errors import ServiceError
from kato_transport.model import ErrorCode
from kato_transport_rest.answers import CODECS, Refusal, encoded
from kato_transport_rest.exchange import Exchange, Site
from kato_transport_rest.processors import Processors
from kato_transport_rest.routes import ROUTES
from kato_transport_rest.routing import Router

log = logging.getLogger("kato_transport.rest")


class Gateway:
    """KATO's REST API in front of an upstream; any ASGI server can run it, in the upstream's event loop.

    `timeout_s` is what a request waits for its answer, unless it says so itself.
    """

    def __init__(
        self, upstream: AsyncConnection, options: ServerOptions, *, timeout_s: float, strict_processor_id: bool = False
    ) -> None:
        prefix = secrets.token_hex(6)
        self._site = Site(
            upstream=upstream,
            processors=Processors(upstream, strict_processor_id, timeout_s),
            timeout_s=timeout_s,
            codecs={codec.content_type: codec for codec in (*CODECS, options.codec)},
            max_message_bytes=options.max_message_bytes,
            unique_ids=(f"rest-{prefix}-{number}" for number in itertools.count(1)),
        )
        self._router = Router(ROUTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the gateway speaks HTTP, not {scope['type']}")
        response = await self._answered(scope, receive)
        await response(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Receive) -> Response:
        try:
            return await self._routed(scope, receive)
        except Refusal as refusal:
            return refusal.response
        except ServiceError as exc:
            return Refusal.of({"message": exc.message, "code": exc.code}).response
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            return Refusal(500, "the gateway failed; its log says why", ErrorCode.INTERNAL).response

    async def _routed(self, scope: Scope, receive: Receive) -> Response:
        resource, names = self._router.find(scope["raw_path"])
        if scope["method"] == "OPTIONS":
            return Response(headers={"allow": resource.allow})
        answer = await resource.route(scope["method"]).handle(Exchange(self._site, scope, receive, names))
        return answer if isinstance(answer, Response) else encoded(answer)
