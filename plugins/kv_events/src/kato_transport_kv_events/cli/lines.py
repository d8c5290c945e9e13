"""Events as maps for JSON: what every event has, and its own fields under the names that they have on the wire."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

from attrs import fields

from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored, EventsLost, KVEvent, TokenIds

OWN_FIELDS: Final[dict[type[Any], tuple[str, ...]]] = {
    kind: tuple(field.name for field in fields(kind) if field.name != "origin")
    for kind in (BlockStored, BlockRemoved, AllBlocksCleared, EventsLost)
}


def own_fields(event: KVEvent, without: Container[str] = ()) -> dict[str, Any]:
    """The event's own fields; `DecodeError` where its tokens turn out to be none."""
    return {name: _plain(getattr(event, name)) for name in OWN_FIELDS[type(event)] if name not in without}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, TokenIds) else value
