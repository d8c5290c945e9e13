"""An API's OpenAPI 3.1 document, made from its table of routes; and the few words its schemas are written in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from kato_transport.http.routing import Route, Schema

STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
MAP: Schema = {"type": "object", "additionalProperties": True}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def constant(word: str) -> Schema:
    return {"type": "string", "const": word}


def nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def any_of(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def record(*, optional: Mapping[str, Schema] | None = None, **fields: Schema) -> Schema:
    """A map of these fields, all of them required but the optional ones."""
    return {"type": "object", "properties": {**fields, **(optional or {})}, "required": list(fields)}


_ERROR = record(status=constant("error"), message=STRING, code=STRING)


@frozen(kw_only=True)
class Api:
    """What is said of an API beside its routes."""

    title: str
    distribution: str
    """The one that it comes with; its version is the API's."""
    description: str
    refusals: Mapping[int, str]
    """What each status means; one that is not here is none of the API's."""


def document(api: Api, routes: Iterable[Route[Any]]) -> bytes:
    """The document as JSON."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.verb.lower()] = _operation(api, route)
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": api.title,
                "version": version(api.distribution),
                "description": f"{api.description} GET paths answer HEAD, and every path answers OPTIONS.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {"schemas": {"Error": _ERROR}},
        },
        ensure_ascii=False,
    ).encode()


def _operation(api: Api, route: Route[Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.verb.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "tags": [route.group],
        "parameters": _parameters(route),
        "responses": _responses(api, route),
    }
    if route.body is not None:
        content = {kind: {"schema": route.body} for kind in route.content_types}
        operation["requestBody"] = {"required": route.body_required, "content": content}
    return operation


def _parameters(route: Route[Any]) -> list[dict[str, Any]]:
    in_path = [{"name": name, "in": "path", "required": True, "schema": STRING} for name in route.places]
    in_query = [
        {"name": name, "in": "query", "required": False, "schema": STRING, "description": text}
        for name, text in route.query.items()
    ]
    return in_path + in_query


def _responses(api: Api, route: Route[Any]) -> dict[str, Any]:
    kinds = route.content_types if route.answer else ("text/html",)
    okay = {kind: {"schema": route.answer or STRING} for kind in kinds}
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "200": {"description": "Okay", "content": okay},
        **{str(status): {"description": api.refusals[status], "content": refused} for status in _statuses(api, route)},
    }


def _statuses(api: Api, route: Route[Any]) -> list[int]:
    found = set()
    if route.body is not None:
        found |= {400, 413, 500}
    if len(route.content_types) > 1:
        found |= {415}
    if route.asks_upstream:
        found |= {404, 500, 503, 504}
    return sorted(found & api.refusals.keys())
