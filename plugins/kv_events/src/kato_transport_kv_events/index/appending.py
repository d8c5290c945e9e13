"""The step that an engine takes for every block it generates: one block more behind the last one, nobody else has either.

What `Storing` would do, too, at three times the cost; and these are by far most of the events there are.
"""

from __future__ import annotations

from kato_transport.events import BlockStored
from kato_transport_kv_events.index.contents import Contents, Space
from kato_transport_kv_events.index.keys import next_key
from kato_transport_kv_events.index.segment import LONGEST, Segment
from kato_transport_kv_events.index.sources import Holder


def append(contents: Contents, space: Space, holder: Holder, event: BlockStored, keyed: bool) -> bool:
    """File the only block of an event if it is such a step; `DecodeError` where its tokens had to be read and are none."""
    (name,), parent, by_hash = event.block_hashes, event.parent_block_hash, space.by_hash
    if parent is None or name in by_hash or space.waiting or (segment := by_hash.get(parent)) is None:
        return False
    hashes = segment.hashes
    if hashes[-1] != parent or len(hashes) == LONGEST or not segment.is_all_of(holder.bit, space):
        return False
    if keyed:
        if (key := _next_key(contents, segment, event)) is None:
            return False
        segment.keys += key
    elif not segment.is_names_only:
        return False
    segment.hashes = (*hashes, name)
    segment.used = True
    by_hash[name] = segment
    contents.blocks += 1
    contents.names += 1
    holder.source.blocks += 1
    return True


def _next_key(contents: Contents, segment: Segment, event: BlockStored) -> bytes | None:
    """None where it is made of more than the block's tokens, or somebody has the block already."""
    if not segment.keys or event.extra_keys is not None or event.lookahead_token_ids is not None:
        return None
    ids = event.token_ids.as_array()
    if len(ids) != event.block_size or event.token_ids.bigrams:
        return None
    number, packed = next_key(segment.keys, ids)
    return None if number in contents.first else packed
