"""`Application`: a table of routes as what answers requests, from a request's path to its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Generic

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kato_transport.errors import ServiceError
from kato_transport.http.answers import Refusal, encoded
from kato_transport.http.routing import E, Route, Router
from kato_transport.model import ErrorCode

log = logging.getLogger("kato_transport.http")


class Application(Generic[E]):
    """`exchange` makes what handlers are given, of scope, receive and the names in the path. Any ASGI server
    can run it, too."""

    def __init__(self, routes: Sequence[Route[E]], exchange: Callable[[Scope, Receive, Mapping[str, str]], E]) -> None:
        self._router = Router(routes)
        self._exchange = exchange

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"this server speaks HTTP, not {scope['type']}")
        response = await self.respond(scope, receive)
        await response(scope, receive, send)

    async def respond(self, scope: Scope, receive: Receive) -> Response:
        """The answer, whatever happens; of the scope, it is what the request itself says that is read."""
        try:
            resource, names = self._router.find(scope["raw_path"])
            if scope["method"] == "OPTIONS":
                return Response(headers={"allow": resource.allow})
            answer = await resource.route(scope["method"]).handle(self._exchange(scope, receive, names))
            return answer if isinstance(answer, Response) else encoded(answer)
        except Refusal as refusal:
            return refusal.response
        except ServiceError as exc:
            return Refusal.of(exc.message, exc.code).response
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["raw_path"].decode("latin-1"))
            return Refusal(500, "the server failed; its log says why", ErrorCode.INTERNAL).response
