"""Cross-origin requests, for pages that a gateway did not serve: Starlette's middleware, with its refusals in JSON."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Message, Receive, Scope

from kato_transport.http.answers import Refusal
from kato_transport_rest.gateway import Gateway

METHODS = ("GET", "HEAD", "OPTIONS", "POST")


class Cors(CORSMiddleware):
    """Lets pages of these origins use the application."""

    def __init__(self, gateway: Gateway, origins: Collection[str]) -> None:
        self._gateway = gateway
        super().__init__(
            gateway,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=("*",),
            expose_headers=("Allow", "Retry-After"),
        )

    async def respond(self, scope: Scope, receive: Receive) -> Response:
        """As `Application.respond`, with the headers that let a page read the answer."""
        headers = Headers(scope=scope)
        if scope["method"] == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers:
            return self.preflight_response(headers)
        response = await self._gateway.respond(scope, receive)
        if "origin" not in headers:  # of which Starlette before 1.1 makes an error
            response.raw_headers = [*response.raw_headers, (b"vary", b"Origin")]
            return response
        start: Message = {"type": "http.response.start", "headers": response.raw_headers}
        await self.send(start, _nowhere, headers)
        response.raw_headers = start["headers"]
        return response

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        message = bytes(response.body).decode()
        return Refusal(response.status_code, message, "cors_refused", headers).response


async def _nowhere(message: Message) -> None:
    """The middleware's own change to the message is all that is wanted of it."""
