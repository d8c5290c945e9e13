"""What an event says about the content of its blocks, where it says so at all."""

from __future__ import annotations

from array import array

from kato_transport.events import BlockStored, ExtraKey, TokenIds
from kato_transport_kv_events.index.keys import Extras, Shape, unpaired
from kato_transport_kv_events.index.segment import Content


def content_of(event: BlockStored) -> Content | None:
    """None where it cannot be told which tokens are in which block; `DecodeError` where the tokens are none."""
    size, blocks = event.block_size, len(event.block_hashes)
    ids, lookahead = _ids(event)
    if size <= 0 or ids is None or len(ids) - lookahead != size * blocks:
        return None
    extra_keys = event.extra_keys
    if extra_keys is None and event.cache_salt is None:
        return Content(ids, Shape(size, lookahead))
    if extra_keys is not None and len(extra_keys) != blocks:
        return None
    return Content(ids, Shape(size, lookahead), _extras(event))


def _ids(event: BlockStored) -> tuple[array[int] | None, int]:
    """The tokens of the blocks and those ahead, and how many these are."""
    packed, ahead = event.token_ids, event.lookahead_token_ids
    ids = packed.as_array()
    if packed.bigrams:
        return unpaired(ids), 1
    if ahead is None or not any(ahead):
        return ids, 0
    last = ahead[-1]  # of the blocks before it, what is behind them are the blocks that follow
    if any(len(behind) != len(last) for behind in ahead):
        return None, 0
    return ids + TokenIds(last).as_array(), len(last)


def _extras(event: BlockStored) -> Extras | None:
    """Without the adapter's name, which is part of the space; a salt is the last extra key of a prefix's first block."""
    extras = [_without(event.lora_name, keys) for keys in event.extra_keys or [None] * len(event.block_hashes)]
    if event.cache_salt and event.parent_block_hash is None:
        extras[0] = (*(extras[0] or ()), event.cache_salt)
    return extras if any(extras) else None


def _without(lora_name: str | None, keys: tuple[ExtraKey, ...] | None) -> tuple[ExtraKey, ...] | None:
    return keys[1:] if keys and lora_name is not None and keys[0] == lora_name else keys
