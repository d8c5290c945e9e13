"""Who has which blocks of a segment: written here only."""

from __future__ import annotations

from collections.abc import Sequence

from kato_transport.events import BlockHash
from kato_transport_kv_events.index.bitmaps import positions
from kato_transport_kv_events.index.contents import Contents
from kato_transport_kv_events.index.segment import Alias, Segment
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
        had = named = segment.held_by(bit)
        if segment.own is None and not had and len(hashes) == len(segment.hashes):  # as it mostly is
            segment.full |= bit
            holder.source.blocks += len(hashes)
            return
        everything, span = segment.everything, ((1 << len(hashes)) - 1) << start
        row = segment if segment.own is None else segment.row_with(hashes[0])
        if isinstance(row, Alias):
            named = row.held_by(bit)
            row.held[bit] = named | span
        if named & span and self._counted:
            _count_copies(row, named & span, bit)
        holder.source.blocks += (span & ~named).bit_count()
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

    def extend(self, segment: Segment, hashes: tuple[BlockHash, ...], keys: bytes, holder: Holder) -> None:
        """The only holder of all of a segment has further blocks behind it."""
        self._contents.extend(segment, hashes, keys)
        holder.source.blocks += len(hashes)
        segment.used = True

    def remove(self, segment: Segment, start: int, hashes: Sequence[BlockHash], holder: Holder) -> int:
        """The holder has these blocks no more, or one copy less; says how many of them it had."""
        bit = holder.bit
        if len(hashes) == len(segment.hashes) and segment.full & bit and segment.own is None and segment.copies is None:
            segment.full ^= bit  # all of it, as it often is
            holder.source.blocks -= len(hashes)
            self._tidy(segment)
            return len(hashes)
        row = segment if segment.own is None else segment.row_with(hashes[0])
        had = row.held_by(bit)
        gone = had & (((1 << len(hashes)) - 1) << start)
        if not gone:
            return 0
        known = gone.bit_count()
        if row.copies is not None:
            gone = _without_copies(row, gone, bit)
        if gone:
            left = had ^ gone
            if not isinstance(row, Alias):
                self._leave(segment, bit, left)
            elif (by_any := _left_by_any(segment, row, bit, left)) != segment.everything:
                self._leave(segment, bit, by_any)
            self._tidy(segment)
            holder.source.blocks -= gone.bit_count()
        return known

    def free(self, segment: Segment, holders: Sequence[Holder]) -> None:
        """None of the holders, who are all of those alive, has anything of it."""
        for holder in holders:
            holder.source.blocks -= sum(row.held_by(holder.bit).bit_count() for row in segment.rows)
        self._contents.free(segment)

    def wipe(self, segment: Segment, bits: int) -> None:
        """Forget holders that are no more."""
        segment.full &= ~bits
        segment.part = _without(segment.part, bits)
        for row in segment.rows:
            if row.copies is not None:
                row.copies = {place: count for place, count in row.copies.items() if not place[0] & bits} or None
            if isinstance(row, Alias):
                row.held = _without(row.held, bits) or {}
        self._tidy(segment)

    def _leave(self, segment: Segment, bit: int, left: int) -> None:
        """A part of what a holder had, or nothing."""
        segment.full &= ~bit
        if not left:
            self._drop_part(segment, bit)
        elif segment.part is None:
            segment.part = {bit: left}
        else:
            segment.part[bit] = left

    def _tidy(self, segment: Segment) -> None:
        if not segment.full and segment.part is None:
            self._contents.free(segment)
        elif segment.own is not None:
            self._contents.drop_unused_aliases(segment)

    def _drop_part(self, segment: Segment, bit: int) -> None:
        if segment.part is not None:
            segment.part.pop(bit, None)
            segment.part = segment.part or None


def _left_by_any(segment: Segment, row: Alias, bit: int, left: int) -> int:
    """What a holder has of a segment by whichever hashes, when this is left of what it has by those of a row."""
    if left:
        row.held[bit] = left
    else:
        del row.held[bit]
    for each in segment.rows:
        left |= each.held_by(bit)
    return left


def _without(held: dict[int, int] | None, bits: int) -> dict[int, int] | None:
    return {bit: bitmap for bit, bitmap in held.items() if not bit & bits} or None if held else None


def _count_copies(row: Segment | Alias, again: int, bit: int) -> None:
    """A holder has one copy more of each block in a bitmap."""
    copies = row.copies = row.copies or {}
    for position in positions(again):
        copies[bit, position] = copies.get((bit, position), 0) + 1


def _without_copies(row: Segment | Alias, gone: int, bit: int) -> int:
    """What is gone when of blocks with further copies one copy went."""
    copies = row.copies or {}
    for position in positions(gone):
        if (bit, position) in copies:
            gone ^= 1 << position
            copies[bit, position] -= 1
            if not copies[bit, position]:
                del copies[bit, position]
    row.copies = copies or None
    return gone
