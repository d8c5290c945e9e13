"""Filing blocks whose keys are known: into the segments that have them, at the end of one, or into new ones."""

from __future__ import annotations

from kato_transport.events import BlockHash
from kato_transport_kv_events.index.contents import Contents, Space
from kato_transport_kv_events.index.keys import KEY_BYTES, agreeing, key_at, pack
from kato_transport_kv_events.index.marks import Marks
from kato_transport_kv_events.index.segment import LONGEST, Segment
from kato_transport_kv_events.index.sources import Holder


class Placing:
    """Puts blocks that are under no hash yet where their keys say."""

    def __init__(self, contents: Contents, marks: Marks) -> None:
        self._contents = contents
        self._marks = marks

    def place(
        self,
        space: Space,
        holder: Holder,
        hashes: tuple[BlockHash, ...],
        keys: list[int],
        segment: Segment | None,
        position: int,
    ) -> None:
        """`segment` and `position` are of the parent, if there is one."""
        first = self._contents.first
        if first.keys().isdisjoint(keys) and not _continues(segment, position, keys[0]):
            self._append(space, holder, hashes, keys, segment, position)
            return
        at = 0
        while at < len(hashes):
            if _continues(segment, position, keys[at]):
                position += 1
            elif (home := first.get(keys[at])) is not None:
                segment, position = home, 0
            else:
                end = next((end for end in range(at, len(hashes)) if keys[end] in first), len(hashes))
                segment = self._append(space, holder, hashes[at:end], keys[at:end], segment, position)
                position, at = len(segment.hashes) - 1, end
                continue
            assert segment is not None
            count = agreeing(segment.keys[position * KEY_BYTES :], pack(keys[at : at + LONGEST]))
            self._share(space, holder, hashes[at : at + count], segment, position)
            position, at = position + count - 1, at + count

    def _share(self, space: Space, holder: Holder, hashes: tuple[BlockHash, ...], segment: Segment, position: int) -> None:
        """Somebody has had these blocks by other hashes; the holder itself, even, where an old engine does not say all that it
        hashed, as salts and images."""
        self._contents.alias(segment, position, space, hashes, holder.bit)
        self._marks.add(segment, position, hashes, holder)
        segment.used = True

    def _append(
        self,
        space: Space,
        holder: Holder,
        hashes: tuple[BlockHash, ...],
        keys: list[int],
        parent: Segment | None,
        position: int,
    ) -> Segment:
        """File blocks that are nowhere yet; says in which segment the last one is."""
        at = 0
        if parent is not None and position == len(parent.hashes) - 1 and parent.is_all_of(holder.bit, space):
            at = LONGEST - len(parent.hashes)
            if at:
                self._marks.extend(parent, hashes[:at], pack(keys[:at]), holder)
        for start in range(at, len(hashes), LONGEST):
            end = start + LONGEST
            parent = self._contents.add(space, hashes[start:end], pack(keys[start:end]))
            self._marks.begin(parent, holder)
        assert parent is not None
        return parent


def _continues(parent: Segment | None, position: int, key: int) -> bool:
    """Whether the block of this key is the one behind its parent."""
    return parent is not None and position + 1 < len(parent.hashes) and key_at(parent.keys, position + 1) == key
