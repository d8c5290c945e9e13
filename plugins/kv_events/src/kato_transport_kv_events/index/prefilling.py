"""What an engine does with a prompt: many blocks at once that nobody has, behind the end of a segment or the first of all.

What `Storing` would do, too, at a quarter more; and these are most of the blocks there are.
"""

from __future__ import annotations

from kato_transport.events import BlockHash, BlockStored
from kato_transport_kv_events.index.contents import Contents, Space
from kato_transport_kv_events.index.keys import Shape, chain_plain, key_at, pack
from kato_transport_kv_events.index.marks import Marks
from kato_transport_kv_events.index.segment import LONGEST
from kato_transport_kv_events.index.sources import Holder


def prefill(
    contents: Contents, marks: Marks, space: Space, holder: Holder, event: BlockStored, hashes: tuple[BlockHash, ...]
) -> bool:
    """File the blocks of an event, none of which is under its hash yet, if they are such; `DecodeError` as for any."""
    if event.extra_keys is not None or event.cache_salt is not None or event.lookahead_token_ids is not None or space.waiting:
        return False
    seed, size = _seed(contents, space, event), event.block_size
    if seed is None or size <= 0:
        return False
    ids = event.token_ids.as_array()
    if len(ids) != size * len(hashes) or event.token_ids.bigrams:
        return False
    keys = chain_plain(ids, size, seed)
    if not contents.first.keys().isdisjoint(keys):
        return False
    for start in range(0, len(hashes), LONGEST):
        end = start + LONGEST
        marks.begin(contents.add(space, hashes[start:end], pack(keys[start:end])), holder)
    return True


def _seed(contents: Contents, space: Space, event: BlockStored) -> int | None:
    """The key of the block before; None where that is not known, or its segment may get longer or goes on."""
    parent = event.parent_block_hash
    if parent is None:
        return contents.root(space, Shape(event.block_size))
    segment = space.by_hash.get(parent)
    if segment is None or not segment.keys or segment.hashes[-1] != parent or len(segment.hashes) < LONGEST:
        return None
    return key_at(segment.keys, LONGEST - 1)
