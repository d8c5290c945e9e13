"""Another decoder, slow and simple: msgpack-python, and field names by position."""

from __future__ import annotations

from typing import Any

import msgpack
from attrs import fields as fields_of

from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored, Origin

KINDS = {kind.__name__: kind for kind in (BlockStored, BlockRemoved, AllBlocksCleared)}
IN_ARRAYS = {
    "BlockStored": (
        *("block_hashes", "parent_block_hash", "token_ids", "block_size", "lora_id", "medium", "lora_name"),
        *("extra_keys", "group_idx", "kv_cache_spec_kind", "kv_cache_spec_sliding_window"),
    ),
    "BlockRemoved": ("block_hashes", "medium", "group_idx"),
    "AllBlocksCleared": (),
}


def decode(payload: bytes, origin: Origin) -> list[Any]:
    """The events of a batch that holds nothing but events we know."""
    return [as_event(named(item), origin) for item in msgpack.unpackb(payload)[1]]


def named(item: Any) -> dict[str, Any]:
    """An event as a dict, whatever it was."""
    if isinstance(item, dict):
        return item
    return {"type": item[0], **dict(zip(IN_ARRAYS[item[0]], item[1:], strict=False))}


def as_event(values: dict[str, Any], origin: Origin) -> Any:
    """The event of a dict; what an event of ours does not have is left out."""
    kind = KINDS[values["type"]]
    names = {field.name for field in fields_of(kind)}
    known = {name: _value(name, value) for name, value in values.items() if name in names and value is not None}
    return kind(origin=origin, **known)


def _value(name: str, value: Any) -> Any:
    return value if name == "token_ids" and not value else _tuples(value)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
