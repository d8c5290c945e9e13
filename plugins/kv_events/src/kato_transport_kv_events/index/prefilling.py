"""What an engine does with a prompt: many blocks at once that nobody has, behind the end of a segment or the first of all.

What `Storing` would do, too, at a quarter more; and these are most of the blocks there are.
"""

from __future__ import annotations

from kato_transport.events import BlockHash, BlockStored
from kato_transport_kv_events.index.contents import Contents, Space
from kato_transport_kv_events.index.keys import Shape, chain_plain, key_at, pack
from kato_transport_kv_events.index.marks import Marks
from kato_transport_kv_events.index.segment import LONGEST, Segment
from kato_transport_kv_events.index.sources import Holder


def prefill(
    contents: Contents, marks: Marks, space: Space, holder: Holder, event: BlockStored, hashes: tuple[BlockHash, ...]
) -> bool:
    """File the blocks of an event, none of which is under its hash yet, if they are such; `DecodeError` as for any."""
    if event.extra_keys is not None or event.cache_salt is not None or event.lookahead_token_ids is not None or space.waiting:
        return False
    parent, size = event.parent_block_hash, event.block_size
    before = None if parent is None else space.by_hash.get(parent)
    if parent is not None and (before is None or not _is_whole_up_to(before, parent)):
        return False
    ids = event.token_ids.as_array()
    if size <= 0 or len(ids) != size * len(hashes) or event.token_ids.bigrams:
        return False
    seed = contents.root(space, Shape(size)) if before is None else key_at(before.keys, LONGEST - 1)
    keys = chain_plain(ids, size, seed)
    if not contents.first.keys().isdisjoint(keys):
        return False
    for start in range(0, len(hashes), LONGEST):
        end = start + LONGEST
        marks.begin(contents.add(space, hashes[start:end], pack(keys[start:end])), holder)
    return True


def _is_whole_up_to(segment: Segment, name: BlockHash) -> bool:
    """Whether this is the last block of a segment with keys that cannot get longer."""
    return segment.keys != b"" and segment.hashes[-1] == name and len(segment.hashes) == LONGEST
