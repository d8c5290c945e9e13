"""From events to the bytes that a version of an engine would have sent.

Through msgspec structs like the engines' own, because these leave traces: a struct of 16 fields is sent with the wide
header of a map even where it leaves out most of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from msgspec import Struct, defstruct
from msgspec.msgpack import Encoder

from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored, TokenIds
from kato_transport_kv_events.testing.dialects import Dialect
from kato_transport_kv_events.wire import DecodedEvent, EventKind

_pack: Final = Encoder().encode


def encode_batch(events: Iterable[DecodedEvent], dialect: Dialect, timestamp_s: float, rank: int = 0) -> bytes:
    """A batch of events, byte by byte as in the dialect; what it has no field for is left out, and so is the origin."""
    structs = _structs(dialect)
    batch: list[Any] = [float(timestamp_s), [_filled(structs[type(event)], event) for event in events]]
    return _pack([*batch, rank] if dialect.batch_has_rank else batch)


@cache
def _structs(dialect: Dialect) -> dict[EventKind, type[Struct]]:
    fields: dict[EventKind, tuple[str, ...]] = {
        BlockStored: dialect.stored,
        BlockRemoved: dialect.removed,
        AllBlocksCleared: (),
    }
    return {kind: _struct(kind.__name__, names, dialect) for kind, names in fields.items()}


def _struct(tag: str, names: tuple[str, ...], dialect: Dialect) -> type[Struct]:
    declared = [(name, Any, None) if name in dialect.left_out else (name, Any) for name in names]
    return defstruct(tag, declared, tag=tag, array_like=not dialect.events_are_maps, omit_defaults=True)


def _filled(struct: type[Struct], event: DecodedEvent) -> Struct:
    return struct(*(_value(getattr(event, name)) for name in struct.__struct_fields__))


def _value(value: Any) -> Any:
    return list(value) if isinstance(value, TokenIds) else value
