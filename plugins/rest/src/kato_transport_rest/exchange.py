"""One HTTP request to the gateway: what every request has, and calls to the upstream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from attrs import define, frozen

from kato_transport.contracts import AsyncConnection, Codec
from kato_transport.http import exchange
from kato_transport.http.upstream import ask
from kato_transport.kato.methods import IDEMPOTENT
from kato_transport.model import Request
from kato_transport_rest.answers import error_code, refusal_of
from kato_transport_rest.processors import Processors


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
class Exchange(exchange.Exchange):
    """What cannot go on raises `Refusal`."""

    not_json: ClassVar[int] = 500
    """As KATO's clients have it."""

    site: Site

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
            raise refusal_of(answer.body)
        return answer.body
