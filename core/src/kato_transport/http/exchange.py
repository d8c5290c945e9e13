"""One HTTP request as its handler sees it: names from the path, query, headers and body, within a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import parse_qs

from attrs import define
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kato_transport.codecs.json import parsed
from kato_transport.http.answers import Refusal
from kato_transport.model import ErrorCode

LINGER_S = 1.0
"""Seconds for which the rest of a refused body is read and dropped."""


class BodyTooLarge(Refusal):
    """A body was refused before it was read."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the body is larger than the {limit} bytes that are taken", ErrorCode.TOO_LARGE)

    @property
    def response(self) -> Response:
        answer = super().response
        return EarlyResponse(answer.body, answer.status_code, {"connection": "close"}, answer.media_type)


class EarlyResponse(Response):
    """Answers before the body is through, then drops what still comes, for a moment, and hangs up.

    A client that writes its whole body before it reads would else find a broken connection in place of the answer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while (await receive()).get("more_body"):
                    pass
        await send({"type": "http.response.body", "body": b""})


@define
class Exchange:
    """See the module. What cannot go on raises `Refusal`."""

    not_json: ClassVar[int] = 400
    """The status of a body that is not JSON."""

    scope: Scope
    receive: Receive
    names: Mapping[str, str]
    """What stands in the path for each `{name}` of its route, decoded."""
    max_body_bytes: int

    def header(self, name: bytes) -> str:
        """A header's value, empty where there is none."""
        for key, value in self.scope["headers"]:
            if key == name:
                return str(value, "latin-1")
        return ""

    def query(self, name: str) -> str:
        """A value of the query string, empty where there is none."""
        text = self.scope["query_string"].decode("latin-1")
        return parse_qs(text).get(name, [""])[-1] if text else ""

    async def body(self) -> bytes:
        """The whole body; a larger one than is taken is refused as soon as that shows."""
        limit = self.max_body_bytes
        if int(self.header(b"content-length").lstrip("0") or 0) > limit:  # of too many digits, int makes no number
            raise BodyTooLarge(limit)
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Refusal(400, "the client left before its body was complete", ErrorCode.INVALID_PARAMS)
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > limit:
                raise BodyTooLarge(limit)
            more = message.get("more_body", False)
        return b"".join(chunks)

    async def fields(self) -> dict[str, Any]:
        """The body as a map; an empty body is a 400."""
        data = await self.body()
        if not data.strip():
            raise Refusal(400, "the body is empty; expected a JSON object", ErrorCode.INVALID_PARAMS)
        found = self.parsed(data)
        if not isinstance(found, dict):
            raise Refusal(400, f"the body is a {type(found).__name__}; expected a JSON object", ErrorCode.INVALID_PARAMS)
        return found

    def parsed(self, data: bytes) -> Any:
        """JSON as RFC 8259 has it, so without NaN."""
        try:
            return parsed(data)
        except (ValueError, RecursionError) as exc:
            raise Refusal(self.not_json, f"the body is not JSON: {exc}", ErrorCode.INVALID_PARAMS) from exc
