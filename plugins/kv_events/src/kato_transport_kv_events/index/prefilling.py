"""What an engine does with a prompt: many blocks at once that nobody has, behind the end of a segment or the first of all.

What `Storing` would do, too, at half as much again; and these are most of the blocks there are.
"""

from __future__ import annotations

from kato_transport.events import BlockHash, BlockStored
from kato_transport_kv_events.index.contents import Contents, Space
from kato_transport_kv_events.index.keys import Shape, chain_plain, key_at
from kato_transport_kv_events.index.marks import Marks
from kato_transport_kv_events.index.segment import LONGEST, Segment
from kato_transport_kv_events.index.sources import Holder


def prefill(
    contents: Contents,
    marks: Marks,
    space: Space,
    holder: Holder,
    event: BlockStored,
    hashes: tuple[BlockHash, ...],
    *,
    keyed: bool,
) -> bool:
    """File the blocks of an event if they are such; `DecodeError` as for any."""
    parent = event.parent_block_hash
    before = None if parent is None else space.by_hash.get(parent)
    if before is not None and len(before.hashes) < LONGEST:  # it can get longer
        return False
    keys: list[int] = []
    if keyed and not (keys := _keys(contents, space, event, before)):
        return False
    segments = contents.add_unless_known(space, hashes, keys)
    for segment in segments:
        marks.begin(segment, holder)
    return bool(segments)


def _keys(contents: Contents, space: Space, event: BlockStored, before: Segment | None) -> list[int]:
    """None where they are made of more than the blocks' tokens, or not to be had, or where somebody has such blocks."""
    if event.extra_keys is not None or event.cache_salt is not None or event.lookahead_token_ids is not None or space.waiting:
        return []
    parent, size, blocks = event.parent_block_hash, event.block_size, len(event.block_hashes)
    if parent is not None and (before is None or not before.keys or before.hashes[-1] != parent):
        return []
    ids = event.token_ids.as_array()
    if len(ids) != size * blocks or event.token_ids.bigrams:
        return []
    seed = contents.root(space, Shape(size)) if before is None else key_at(before.keys, LONGEST - 1)
    keys = chain_plain(ids, blocks, size, seed)
    return keys if contents.first.keys().isdisjoint(keys) else []
