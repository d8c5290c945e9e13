"""Which processor a path means.

KATO's fixtures use any processor id, so with one processor every id is taken for it, unless the setting
`KATO_REST_STRICT_PROCESSOR_ID` says otherwise; with several, an id has to be one of theirs.
"""

from __future__ import annotations

import asyncio

from kato_transport.contracts import AsyncConnection
from kato_transport.http.answers import Refusal
from kato_transport.http.upstream import ask
from kato_transport.model import ErrorCode, Request
from kato_transport_rest.answers import error_code, refusal_of

_FAILURES = (ErrorCode.UNAVAILABLE, ErrorCode.CONNECTION_LOST, ErrorCode.DEADLINE_EXCEEDED, ErrorCode.BUSY)


class Processors:
    """The upstream's processor ids, learned at the first request and again after anything that may have changed them."""

    def __init__(self, upstream: AsyncConnection, strict: bool, timeout_s: float) -> None:
        self._upstream = upstream
        self._timeout_s = timeout_s
        self._strict = strict
        self._known: tuple[str, ...] | None = None
        self._learning = asyncio.Lock()

    async def resolve(self, processor_id: str) -> str:
        """The id to send for the one in a path; `Refusal` (404) where no processor is meant by it."""
        known = self._known
        if known is None:
            known = await self._learn(None)
        if not self._has(processor_id, known):
            known = await self._learn(known)
        if not self._has(processor_id, known):
            listed = ", ".join(known)
            raise Refusal(404, f"no processor {processor_id!r}; this server has: {listed}", ErrorCode.NOT_FOUND)
        return processor_id if len(known) > 1 else ""

    def heed(self, code: str) -> None:
        """Take note of an error answer: after these codes the processors may be others."""
        if code == ErrorCode.NOT_FOUND or code in _FAILURES:
            self._known = None

    def _has(self, processor_id: str, known: tuple[str, ...]) -> bool:
        return processor_id in known or (len(known) <= 1 and not self._strict)

    async def _learn(self, stale: tuple[str, ...] | None) -> tuple[str, ...]:
        """Ask the upstream, unless another request has just done so."""
        async with self._learning:
            if self._known is None or self._known is stale:
                self._known = await self._listed()
            return self._known

    async def _listed(self) -> tuple[str, ...]:
        pong = await ask(self._upstream, self._request("ping"))
        if pong.is_error and error_code(pong.body) in _FAILURES:
            raise refusal_of(pong.body)
        listed = pong.body.get("processors")
        if isinstance(listed, (list, tuple)) and listed:
            return tuple(map(str, listed))
        return await self._only() if self._strict else ()

    async def _only(self) -> tuple[str, ...]:
        """The id of a server that does not list its processors, as the original does not: it has one."""
        answer = await ask(self._upstream, self._request("get_name"))
        if answer.is_error:
            raise refusal_of(answer.body)
        return (str(answer.body.get("id", "")),)

    def _request(self, method: str) -> Request:
        return Request(method, timeout_s=self._timeout_s, idempotent=True)
