"""Cross-origin requests, for pages that a gateway did not serve: Starlette's middleware, with its refusals in JSON."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from kato_transport.http.answers import Refusal

METHODS = ("GET", "HEAD", "OPTIONS", "POST")


class Cors(CORSMiddleware):
    """Lets pages of these origins use the application."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=("*",),
            expose_headers=("Allow", "Retry-After"),
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        message = bytes(response.body).decode()
        return Refusal(response.status_code, message, "cors_refused", headers).response
