"""One HTTP request as its handler sees it: names from the path, query, body, and calls to the upstream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Never
from urllib.parse import parse_qs

from attrs import define, frozen
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kato_transport.contracts import AsyncConnection, Codec
from kato_transport.kato.methods import IDEMPOTENT
from kato_transport.model import ErrorCode, Request
from kato_transport_rest.answers import Refusal, error_code
from kato_transport_rest.processors import Processors
from kato_transport_rest.upstream import ask

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


@frozen
class Site:
    """What all requests of a gateway share."""

    upstream: AsyncConnection
    processors: Processors
    timeout_s: float
    """Given to requests that do not say how long they wait."""
    codecs: Mapping[str, Codec]
    """By content type, for generic calls."""
    max_message_bytes: int
    unique_ids: Iterator[str]
    """For observations that come without one."""


@define
class Exchange:
    """See the module. What cannot go on raises `Refusal`."""

    site: Site
    scope: Scope
    receive: Receive
    names: Mapping[str, str]
    """What stands in the path for each `{name}` of its route, decoded."""

    @property
    def processor_id(self) -> str:
        """As the path has it; answers repeat it."""
        return self.names["processor_id"]

    async def call(self, method: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The answer's map of the processor that the path names."""
        return await self.ask(method, params, await self.resolved_processor())

    async def resolved_processor(self) -> str:
        """The processor that the path's id means, as the upstream is to be told; a refusal for one it has not."""
        return await self.site.processors.resolve(self.processor_id)

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, processor_id: str = "") -> Mapping[str, Any]:
        """The answer's map of the processor with that id, or else of the first."""
        answer = await ask(
            self.site.upstream,
            Request(
                method,
                {} if params is None else params,
                processor_id=processor_id,
                timeout_s=self.site.timeout_s,
                trace=self.header(b"traceparent"),
                idempotent=method in IDEMPOTENT,
            ),
        )
        if answer.is_error:
            self.site.processors.heed(error_code(answer.body))
            raise Refusal.of(answer.body)
        return answer.body

    def header(self, name: bytes) -> str:
        """A header's value, empty where there is none."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), "")

    def query(self, name: str) -> str:
        """A value of the query string, empty where there is none."""
        text = self.scope["query_string"].decode("latin-1")
        return parse_qs(text).get(name, [""])[-1] if text else ""

    async def body(self) -> bytes:
        """The whole body; a larger one than is taken is refused as soon as that shows."""
        limit = self.site.max_message_bytes
        if int(self.header(b"content-length") or 0) > limit:
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
        """The body as a map. What is not JSON is a 500, as KATO's clients have it; an empty body is a 400."""
        data = await self.body()
        if not data.strip():
            raise Refusal(400, "the body is empty; expected a JSON object", ErrorCode.INVALID_PARAMS)
        found = parsed(data)
        if not isinstance(found, dict):
            raise Refusal(400, f"the body is a {type(found).__name__}; expected a JSON object", ErrorCode.INVALID_PARAMS)
        return found


def parsed(data: bytes) -> Any:
    """JSON as RFC 8259 has it, so without NaN; `Refusal` (500) for anything else."""
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise Refusal(500, f"the body is not JSON: {exc}", ErrorCode.INVALID_PARAMS) from exc


def _refuse_constant(word: str) -> Never:
    raise ValueError(f"{word} is not JSON")
