"""Whose blocks are indexed: sources, and each of their media and groups as a holder with a bit of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kato_transport_kv_events.index.bitmaps import bits_of
from kato_transport_kv_events.stream.trust import State

if TYPE_CHECKING:
    from kato_transport_kv_events.index.contents import Space

SourceKey = tuple[str, int]
"""A pod and one of its ranks."""


class IndexedSource:
    """An engine's rank; what is known of it whether or not it holds anything."""

    __slots__ = ("blocks", "generation", "has_unsized", "holders", "pod", "rank", "spaces", "state")

    def __init__(self, pod: str, rank: int) -> None:
        self.pod = pod
        self.rank = rank
        self.state = State.PARTIAL
        """As it was last told; nobody tells of a source that is fed by hand."""
        self.generation = 0
        """Counts how often what it held was given up."""
        self.blocks = 0
        """What its holders have, a block in two of them counted twice."""
        self.holders: dict[tuple[str, int | None], Holder] = {}
        """By medium and group."""
        self.spaces: dict[tuple[str, str | int | None, int], Space] = {}
        """Where its hashes are filed, by `SpaceKey`."""
        self.has_unsized = False
        """Whether some may be filed without the size of their blocks."""


class Holder:
    """One medium and group of a source, in one generation."""

    __slots__ = ("bit", "generation", "group", "medium", "source", "windowed")

    def __init__(self, source: IndexedSource, medium: str, group: int | None, bit: int) -> None:
        self.source = source
        self.medium = medium
        self.group = group
        self.bit = bit
        self.generation = source.generation
        self.windowed = False
        """Whether it holds the last blocks before a hit only, so that having no leading ones says nothing."""


class Holders:
    """All sources and holders. A holder's bit is not used again before no segment has it any more.

    What an answer needs of `by_bit`, `members` and `joint` is replaced and never changed, so that it may keep them.
    """

    def __init__(self) -> None:
        self.sources: dict[SourceKey, IndexedSource] = {}
        self.by_bit: dict[int, Holder] = {}
        self.leading = 0
        """Bits of those alive whose leading blocks count."""
        self.members: dict[IndexedSource, tuple[Holder, ...]] = {}
        """These, by source."""
        self.joint: dict[int, tuple[IndexedSource, int | None]] = {}
        """Of these, bits that hold a prefix together: of a source's group, with all its media."""
        self.dead = 0
        """Bits of those that were forgotten, which segments may still have."""
        self._unused: list[int] = []
        self._next = 1

    def source(self, pod: str, rank: int) -> IndexedSource:
        source = self.sources.get((pod, rank))
        if source is None:
            source = self.sources[pod, rank] = IndexedSource(pod, rank)
        return source

    def holder(self, source: IndexedSource, medium: str, group: int | None) -> Holder:
        holder = source.holders.get((medium, group))
        if holder is None:
            holder = Holder(source, medium, group, self._fresh_bit())
            source.holders[medium, group] = holder
            self.by_bit = {**self.by_bit, holder.bit: holder}
            self._count_in(source)
        return holder

    def set_windowed(self, holder: Holder) -> None:
        holder.windowed = True
        self.leading &= ~holder.bit
        self._count_in(holder.source)

    def forget(self, source: IndexedSource) -> None:
        """Whatever the source held is gone; at a cost that does not depend on how much it was."""
        gone = 0
        for holder in source.holders.values():
            gone |= holder.bit
        self.by_bit = {bit: holder for bit, holder in self.by_bit.items() if not bit & gone}
        self.leading &= ~gone
        self.dead |= gone
        self.members = {other: members for other, members in self.members.items() if other is not source}
        self._hold_jointly(source, {})
        source.holders, source.spaces, source.blocks, source.has_unsized = {}, {}, 0, False

    def swept(self, bits: int) -> None:
        """No segment has these bits any more."""
        self.dead &= ~bits
        self._unused += bits_of(bits)

    def among(self, bits: int) -> list[Holder]:
        """The holders, alive ones only, that have these bits."""
        return [self.by_bit[bit] for bit in bits_of(bits) if bit in self.by_bit]

    def _count_in(self, source: IndexedSource) -> None:
        """A source has other holders. One that is of no group, as some connectors leave it out, is of every group."""
        members = tuple(holder for holder in source.holders.values() if not holder.windowed)
        self.members = {**self.members, source: members}
        joint: dict[int, tuple[IndexedSource, int | None]] = {}
        for group in {holder.group for holder in members} - {None} or {None}:
            bits = sum(holder.bit for holder in members if holder.group in (group, None))
            if bits & (bits - 1):
                joint[bits] = (source, group)
        self.leading |= sum(holder.bit for holder in members)
        self._hold_jointly(source, joint)

    def _hold_jointly(self, source: IndexedSource, joint: dict[int, tuple[IndexedSource, int | None]]) -> None:
        others = {bits: group for bits, group in self.joint.items() if group[0] is not source}
        self.joint = {**others, **joint}

    def _fresh_bit(self) -> int:
        if self._unused:
            return self._unused.pop()
        bit = self._next
        self._next <<= 1
        return bit
