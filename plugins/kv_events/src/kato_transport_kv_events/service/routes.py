"""The queries over HTTP: the one table of routes, and what each request has at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Protocol

from attrs import define, frozen
from starlette.responses import Response

from kato_transport import Request
from kato_transport.contracts import AsyncConnection
from kato_transport.http import exchange, openapi
from kato_transport.http.answers import Refusal
from kato_transport.http.openapi import MAP, NUMBER, STRING, any_of, array, constant, nullable, record
from kato_transport.http.routing import Handler, Route, Schema
from kato_transport.http.upstream import ask

SNAPSHOT_TYPE: Final = "application/octet-stream"
SNAPSHOT_S: Final = 60.0
"""What a snapshot waits for, large as it may be."""
QUERIES: Final = "Queries"
SYSTEM: Final = "Service"

_INTEGER: Schema = {"type": "integer"}
_HASH = any_of(_INTEGER, STRING, record(hex=STRING))
_COUNTS: Schema = {"type": "object", "additionalProperties": _INTEGER}
_OKAY = record(status=constant("okay"))
_HOLDER = record(
    pod=STRING, rank=_INTEGER, blocks=_INTEGER, by_medium=_COUNTS, state=STRING, generation=_INTEGER, block_size=_INTEGER
)
_MATCH = record(block_size=_INTEGER, blocks=_INTEGER, pods=array(_HOLDER))
_SAVED = record(path=STRING, bytes=_INTEGER, taken_at_s=NUMBER)
_FORGOTTEN = record(pod=STRING, rank=_INTEGER)
_SOURCE = record(pod=STRING, optional={"rank": _INTEGER})
_SPACE: dict[str, Schema] = {"model": nullable(STRING), "lora_name": {"type": ["string", "integer", "null"]}}
_PROMPT = record(token_ids=array(_INTEGER), optional={**_SPACE, "cache_salt": nullable(STRING)})
_HASHES = record(hashes=array(_HASH), optional=_SPACE)


class Exposition(Protocol):
    """Metrics, written out when somebody asks for them."""

    content_type: str

    def exposition(self) -> bytes: ...


@frozen
class Site:
    """What all requests share."""

    upstream: AsyncConnection
    """Answers the queries."""
    metrics: Exposition
    timeout_s: float
    """What a query waits for its answer."""


@define
class Exchange(exchange.Exchange):
    """What cannot go on raises `Refusal`."""

    site: Site

    async def ask(self, method: str, params: Mapping[str, Any], timeout_s: float | None = None) -> dict[str, Any]:
        """The answer of a query, without the status that only request transports need."""
        wait_s = self.site.timeout_s if timeout_s is None else timeout_s
        answer = await ask(self.site.upstream, Request(method, params, timeout_s=wait_s, idempotent=True))
        if answer.is_error:
            raise Refusal.of(str(answer.body.get("message", "")), str(answer.body.get("code", "")))
        return {name: value for name, value in answer.body.items() if name != "status"}


def _posted(method: str) -> Handler[Exchange]:
    async def handle(exchange: Exchange) -> dict[str, Any]:
        return await exchange.ask(method, await exchange.fields())

    return handle


def _got(method: str) -> Handler[Exchange]:
    async def handle(exchange: Exchange) -> dict[str, Any]:
        return await exchange.ask(method, {})

    return handle


async def _snapshot(exchange: Exchange) -> Response:
    answer = await exchange.ask("kv.snapshot", {}, SNAPSHOT_S)
    return Response(answer["snapshot"], media_type=SNAPSHOT_TYPE)


async def _save(exchange: Exchange) -> dict[str, Any]:
    return await exchange.ask("kv.snapshot", {"save": True}, SNAPSHOT_S)


async def _alive(exchange: Exchange) -> dict[str, Any]:
    return {"status": "okay"}


async def _metrics(exchange: Exchange) -> Response:
    metrics = exchange.site.metrics
    text = await asyncio.to_thread(metrics.exposition)
    return Response(text, headers={"content-type": metrics.content_type})


async def _description(exchange: Exchange) -> Response:
    return Response(description(), media_type="application/json")


def _query(
    verb: str, path: str, handle: Handler[Exchange], summary: str, answer: Schema, body: Schema | None = None
) -> Route[Exchange]:
    return Route(verb=verb, path=path, handle=handle, summary=summary, group=QUERIES, answer=answer, body=body)


def _system(
    path: str, handle: Handler[Exchange], summary: str, answer: Schema, content_type: str = "application/json"
) -> Route[Exchange]:
    return Route(
        verb="GET",
        path=path,
        handle=handle,
        summary=summary,
        group=SYSTEM,
        answer=answer,
        content_types=(content_type,),
        asks_upstream=False,
    )


ROUTES: Final = (
    _query("POST", "/kv/match", _posted("kv.match"), "Who holds the leading blocks of a prompt", _MATCH, _PROMPT),
    _query("POST", "/kv/match_hashes", _posted("kv.match_hashes"), "Who holds a chain of blocks", _MATCH, _HASHES),
    _query("GET", "/kv/sources", _got("kv.sources"), "Every source with its state and counts", record(sources=array(MAP))),
    _query("POST", "/kv/forget", _posted("kv.forget"), "What a source held is gone", _FORGOTTEN, _SOURCE),
    Route(
        verb="GET",
        path="/kv/snapshot",
        handle=_snapshot,
        summary="The whole index, for another one to begin with",
        group=QUERIES,
        answer={"type": "string", "format": "binary"},
        content_types=(SNAPSHOT_TYPE,),
    ),
    _query("POST", "/kv/snapshot", _save, "Have the service save its index in its own file", _SAVED),
    _system("/healthz", _alive, "This process is alive", _OKAY),
    _system("/readyz", _alive, "Queries are answered; what each answer is worth, its states say", _OKAY),
    _system("/metrics", _metrics, "Metrics as Prometheus reads them", STRING, "text/plain"),
    _system("/openapi.json", _description, "This description", MAP),
)

API: Final = openapi.Api(
    title="KV-event index",
    distribution="kato-transport-kv-events",
    description="Which engine already holds a prompt's prefix.",
    refusals={
        400: "Bad input; the message names the field",
        404: "No such source is followed, or the service has no file of its own",
        413: "The body is too large",
        500: "Internal error",
        503: "Busy; try again after `Retry-After` seconds",
        504: "No answer in time",
    },
)


@cache
def description() -> bytes:
    """The OpenAPI document."""
    return openapi.document(API, ROUTES)
