"""Who has which blocks of a segment: written here only."""

from __future__ import annotations

from collections.abc import Sequence

from kato_transport.events import BlockHash
from kato_transport_kv_events.index.bitmaps import positions
from kato_transport_kv_events.index.contents import Contents
from kato_transport_kv_events.index.segment import Segment
from kato_transport_kv_events.index.sources import Holder


class Marks:
    """Says of holders what they have and what not any more; frees a segment that nobody has anything of.

    With `counted`, a block that is stored again is there a second time, and is gone when it was removed as often.
    """

    def __init__(self, contents: Contents, *, counted: bool) -> None:
        self._contents = contents
        self._counted = counted

    def begin(self, segment: Segment, holder: Holder) -> None:
        """The holder has all of a segment that nobody has had yet."""
        segment.full = holder.bit
        holder.source.blocks += len(segment.hashes)

    def add(self, segment: Segment, start: int, hashes: Sequence[BlockHash], holder: Holder) -> None:
        """The holder has the blocks from `start` on, as many as there are hashes, by which it goes."""
        bit = holder.bit
        had = segment.held_by(bit)
        if segment.aliases is None and not had and len(hashes) == len(segment.hashes):  # as it mostly is
            segment.full |= bit
            holder.source.blocks += len(hashes)
            return
        everything, span = segment.everything, ((1 << len(hashes)) - 1) << start
        if had & span and self._counted:
            _count_copies(segment, had & span, start, hashes, bit)
        if segment.aliases is not None:
            self._contents.uses(segment, hashes[0], bit)
        if had == everything:
            return
        has = had | span
        if has == everything:
            segment.full |= bit
            if had:
                self._drop_part(segment, bit)
        else:
            if segment.part is None:
                segment.part = {}
            segment.part[bit] = has
        holder.source.blocks += (has ^ had).bit_count()

    def extend(self, segment: Segment, hashes: tuple[BlockHash, ...], keys: bytes, holder: Holder) -> None:
        """The only holder of all of a segment has further blocks behind it."""
        self._contents.extend(segment, hashes, keys)
        holder.source.blocks += len(hashes)
        segment.used = True

    def remove(self, segment: Segment, start: int, hashes: Sequence[BlockHash], holder: Holder) -> int:
        """The holder has these blocks no more, or one copy less; says how many of them it had."""
        bit = holder.bit
        had = segment.held_by(bit)
        gone = had & (((1 << len(hashes)) - 1) << start)
        if not gone:
            return 0
        known = gone.bit_count()
        if segment.copies is not None:
            gone = self._without_copies(segment, gone, start, hashes, bit)
        if gone:
            self._take(segment, bit, had ^ gone)
            holder.source.blocks -= gone.bit_count()
        return known

    def free(self, segment: Segment, holders: Sequence[Holder]) -> None:
        """None of the holders, who are all of those alive, has anything of it."""
        for holder in holders:
            holder.source.blocks -= segment.held_by(holder.bit).bit_count()
        self._contents.free(segment)

    def wipe(self, segment: Segment, bits: int) -> None:
        """Forget holders that are no more."""
        segment.full &= ~bits
        if segment.part is not None:
            segment.part = {bit: bitmap for bit, bitmap in segment.part.items() if not bit & bits} or None
        if segment.copies is not None:
            segment.copies = {place: count for place, count in segment.copies.items() if not place[0] & bits} or None
        self._left(segment, bits)

    def _take(self, segment: Segment, bit: int, left: int) -> None:
        """What is left of what a holder had."""
        segment.full &= ~bit
        if not left:
            self._drop_part(segment, bit)
            self._left(segment, bit)
            return
        if segment.part is None:
            segment.part = {}
        segment.part[bit] = left
        if segment.aliases is not None:
            self._contents.drop_names(segment, segment.everything ^ left)

    def _left(self, segment: Segment, bits: int) -> None:
        if not segment.full and segment.part is None:
            self._contents.free(segment)
        elif segment.aliases is not None:
            self._contents.unused(segment, bits)

    def _without_copies(self, segment: Segment, gone: int, start: int, hashes: Sequence[BlockHash], bit: int) -> int:
        """What is gone when of blocks that may be there more than once one copy went."""
        copies = segment.copies or {}
        for position in positions(gone):
            counts = copies.get((bit, position))
            if counts is None:
                continue
            name = hashes[position - start]
            counts[name] = counts.get(name, 1) - 1
            if not counts[name]:
                del counts[name]
                self._contents.drop_name(segment, position, name, bit)
            if counts:
                gone ^= 1 << position
            else:
                del copies[bit, position]
        segment.copies = copies or None
        return gone

    def _drop_part(self, segment: Segment, bit: int) -> None:
        if segment.part is not None:
            segment.part.pop(bit, None)
            segment.part = segment.part or None


def _count_copies(segment: Segment, again: int, start: int, hashes: Sequence[BlockHash], bit: int) -> None:
    """A holder stores blocks of a bitmap that it has already, by the same hashes or others."""
    copies = segment.copies = segment.copies or {}
    for position in positions(again):
        name = hashes[position - start]
        counts = copies.get((bit, position))
        if counts is None:
            first = segment.name_of(bit, position, but=name)
            counts = copies[bit, position] = {name if first is None else first: 1}
        counts[name] = counts.get(name, 0) + 1
