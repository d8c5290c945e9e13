"""The API's OpenAPI 3.1 document, made from the table of routes; and the few words its schemas are written in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kato_transport_rest.routing import Route, Schema

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


EVENTS: Schema = array(array(STRING))

_ERROR = record(status=constant("error"), message=STRING, code=STRING)
_REFUSALS = {
    400: "Bad input; the message names the field",
    404: "No such processor, model, gene or method",
    413: "The body is too large",
    415: "The content type is not read here",
    500: "Internal error, or the body is not JSON",
    503: "The server behind is busy or not there; try again after `Retry-After` seconds",
    504: "No answer in time",
}


def document(routes: Iterable[Route]) -> bytes:
    """The document as JSON."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.verb.lower()] = _operation(route)
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "KATO REST gateway",
                "version": version("kato-transport-rest"),
                "description": "Calls of KATO processors over HTTP. GET paths answer HEAD, and every path answers OPTIONS.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {"schemas": {"Error": _ERROR}},
        },
        ensure_ascii=False,
    ).encode()


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.verb.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "tags": [route.group],
        "parameters": _parameters(route),
        "responses": _responses(route),
    }
    if route.body is not None:
        content = {kind: {"schema": route.body} for kind in route.content_types}
        operation["requestBody"] = {"required": route.body_required, "content": content}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    in_path = [{"name": name, "in": "path", "required": True, "schema": STRING} for name in route.places]
    in_query = [
        {"name": name, "in": "query", "required": False, "schema": STRING, "description": text}
        for name, text in route.query.items()
    ]
    return in_path + in_query


def _responses(route: Route) -> dict[str, Any]:
    kinds = route.content_types if route.answer else ("text/html",)
    okay = {kind: {"schema": route.answer or STRING} for kind in kinds}
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "200": {"description": "Okay", "content": okay},
        **{str(status): {"description": _REFUSALS[status], "content": refused} for status in _statuses(route)},
    }


def _statuses(route: Route) -> list[int]:
    found = set()
    if route.body is not None:
        found |= {400, 413, 500}
    if len(route.content_types) > 1:
        found |= {415}
    if route.asks_upstream:
        found |= {404, 500, 503, 504}
    return sorted(found)
