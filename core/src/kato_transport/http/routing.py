"""From a verb and a path to a route: two or three dictionary look-ups, however many routes there are.

A path is split at its slashes *before* its percent-escapes are decoded, so a name may hold an encoded slash.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

from attrs import Factory, frozen
from starlette.responses import Response

from kato_transport.http.answers import Refusal
from kato_transport.http.exchange import Exchange
from kato_transport.model import ErrorCode

E = TypeVar("E", bound=Exchange)
Handler = Callable[[E], Awaitable[Mapping[str, Any] | Response]]
Schema = Mapping[str, Any]

_PLACE = re.compile(r"\{(\w+)\}")


@frozen(kw_only=True)
class Route(Generic[E]):
    """One verb and path, how it is answered, and what is said of it in the API's description."""

    verb: str
    path: str
    """Segments written `{name}` stand for any text."""
    handle: Handler[E]
    summary: str
    group: str
    answer: Schema = Factory(dict)
    body: Schema | None = None
    """None: the body is not read."""
    body_required: bool = True
    query: Mapping[str, str] = Factory(dict)
    content_types: Sequence[str] = ("application/json",)
    """Of the body, and of the answer."""
    asks_upstream: bool = True

    @property
    def places(self) -> list[str]:
        """The names in the path, in order."""
        return _PLACE.findall(self.path)


class Resource(Generic[E]):
    """All routes of one path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._routes: dict[str, Route[E]] = {}
        self.allow = "OPTIONS"

    def add(self, route: Route[E]) -> None:
        self._routes[route.verb] = route
        if route.verb == "GET":
            self._routes["HEAD"] = route  # the HTTP server leaves the body out
        self.allow = ", ".join([*self._routes, "OPTIONS"])

    def route(self, verb: str) -> Route[E]:
        """The route of that verb; `Refusal` (405) where there is none."""
        try:
            return self._routes[verb]
        except KeyError:
            message = f"{verb} is not allowed for {self.path}; allowed: {self.allow}"
            raise Refusal(405, message, "method_not_allowed", {"allow": self.allow}) from None


class _Shape(Generic[E]):
    """Where a path of some length has its names; literal segments lead to the resource."""

    def __init__(self, length: int, places: tuple[int, ...]) -> None:
        self.places = places
        self.literals: Callable[[Sequence[str]], Any] = _items([at for at in range(length) if at not in places])
        self.resources: dict[Any, tuple[Resource[E], tuple[str, ...]]] = {}


class Router(Generic[E]):
    """Finds resources by path; literal paths win over paths with names."""

    def __init__(self, routes: Sequence[Route[E]]) -> None:
        self._shapes: dict[int, list[_Shape[E]]] = {}
        for route in routes:
            self._add(route)

    def find(self, raw_path: bytes) -> tuple[Resource[E], dict[str, str]]:
        """The resource, and what stands in the path for its names; `Refusal` (404) where there is none."""
        segments = _segments(raw_path)
        for shape in self._shapes.get(len(segments), ()):
            found = shape.resources.get(shape.literals(segments))
            if found is None:
                continue
            values = [segments[place] for place in shape.places]
            if all(values):
                resource, names = found
                return resource, dict(zip(names, values, strict=True))
        path = raw_path.decode("latin-1")
        raise Refusal(404, f"nothing is at {path[:200]}; see /openapi.json for what there is", ErrorCode.NOT_FOUND)

    def _add(self, route: Route[E]) -> None:
        segments = route.path[1:].split("/")
        places = tuple(index for index, segment in enumerate(segments) if _PLACE.fullmatch(segment))
        shape = self._shape(len(segments), places)
        resource, _ = shape.resources.setdefault(shape.literals(segments), (Resource(route.path), tuple(route.places)))
        resource.add(route)

    def _shape(self, length: int, places: tuple[int, ...]) -> _Shape[E]:
        shapes = self._shapes.setdefault(length, [])
        shape = next((shape for shape in shapes if shape.places == places), None)
        if shape is None:
            shape = _Shape(length, places)
            shapes.append(shape)
            shapes.sort(key=lambda shape: len(shape.places))
        return shape


def _segments(raw_path: bytes) -> list[str]:
    text = raw_path.decode("latin-1")
    if "://" in text and text[0] != "/":  # as sent to a proxy; RFC 9112 has servers take it, too
        text = "/" + text.partition("://")[2].partition("/")[2]
    text = text[1:]
    segments = text.split("/")
    if "%" not in text:
        return segments
    try:
        return [unquote(segment, errors="strict") for segment in segments]
    except UnicodeDecodeError as exc:
        raise Refusal(400, "the path's percent-escapes are not UTF-8", ErrorCode.INVALID_PARAMS) from exc


def _items(indices: Sequence[int]) -> Callable[[Sequence[str]], Any]:
    """What takes these items of a sequence."""
    return itemgetter(*indices) if indices else lambda segments: ()
