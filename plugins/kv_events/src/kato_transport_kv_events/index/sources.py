"""Whose blocks are indexed: sources, and each of their media and groups as a holder with a bit of its own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kato_transport.events import BlockHash
from kato_transport_kv_events.stream.trust import State

if TYPE_CHECKING:
    from kato_transport_kv_events.index.contents import Space, SpaceKey

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
        self.spaces: dict[SpaceKey, Space] = {}
        """Where its hashes are filed."""
        self.has_unsized = False
        """Whether some may be filed without the size of their blocks."""


class Holder:
    """One medium and group of a source, in one generation."""

    __slots__ = ("bit", "copies", "generation", "group", "medium", "source", "windowed")

    def __init__(self, source: IndexedSource, medium: str, group: int | None, bit: int) -> None:
        self.source = source
        self.medium = medium
        self.group = group
        self.bit = bit
        self.generation = source.generation
        self.windowed = False
        """Whether it holds the last blocks before a hit only, so that having no leading ones says nothing."""
        self.copies: dict[BlockHash, int] = {}
        """Further physical copies of a block, beyond the first."""


class Holders:
    """All sources and holders. A holder's bit is not used again before no segment has it any more."""

    def __init__(self) -> None:
        self.sources: dict[SourceKey, IndexedSource] = {}
        self.by_bit: dict[int, Holder] = {}
        """Replaced and never changed, so that an answer may keep it."""
        self.leading = 0
        """Bits of those alive whose leading blocks count."""
        self.joint: list[int] = []
        """Of these, the bits of one source's group that has several media, which hold a prefix together."""
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
            self.leading |= holder.bit
            if len(source.holders) > 1:
                self._find_joint()
        return holder

    def set_windowed(self, holder: Holder) -> None:
        holder.windowed = True
        self.leading &= ~holder.bit
        self._find_joint()

    def forget(self, source: IndexedSource) -> None:
        """Whatever the source held is gone; at a cost that does not depend on how much it was."""
        gone = 0
        for holder in source.holders.values():
            gone |= holder.bit
        self.by_bit = {bit: holder for bit, holder in self.by_bit.items() if not bit & gone}
        self.leading &= ~gone
        self.dead |= gone
        source.holders, source.spaces, source.blocks, source.has_unsized = {}, {}, 0, False
        if self.joint:
            self._find_joint()

    def swept(self, bits: int) -> None:
        """No segment has these bits any more."""
        self.dead &= ~bits
        while bits:
            bit = bits & -bits
            self._unused.append(bit)
            bits ^= bit

    def among(self, bits: int) -> list[Holder]:
        """The holders, alive ones only, that have these bits."""
        found = []
        while bits:
            bit = bits & -bits
            if (holder := self.by_bit.get(bit)) is not None:
                found.append(holder)
            bits ^= bit
        return found

    def _find_joint(self) -> None:
        together: Counter[tuple[IndexedSource, int | None]] = Counter()
        for holder in self.by_bit.values():
            if not holder.windowed:
                together[holder.source, holder.group] += holder.bit
        self.joint = [bits for bits in together.values() if bits & (bits - 1)]

    def _fresh_bit(self) -> int:
        if self._unused:
            return self._unused.pop()
        bit = self._next
        self._next <<= 1
        return bit
