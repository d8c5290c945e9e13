"""How far holders have the blocks of a request from its beginning, segment by segment.

A holder is out at the first block that it lacks. Of sources with several media it is kept, too, how far these reach
together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kato_transport.events import BlockHash
from kato_transport_kv_events.index.bitmaps import bits_of, trailing_ones
from kato_transport_kv_events.index.contents import Space
from kato_transport_kv_events.index.keys import KEY_BYTES, Shape, agreeing
from kato_transport_kv_events.index.request import Wanted
from kato_transport_kv_events.index.segment import LONGEST, Segment
from kato_transport_kv_events.index.sources import Holder, Holders


class Reach:
    """Of one way to cut a request into blocks."""

    __slots__ = (
        "_holding",
        "_jointly",
        "best",
        "blocks",
        "by_bit",
        "in_request",
        "joint",
        "joint_ends",
        "members",
        "out",
        "shape",
    )

    def __init__(self, shape: Shape, in_request: int, holders: Holders) -> None:
        self.shape = shape
        self.in_request = in_request
        """Whole blocks in the request."""
        self.by_bit, self.members, self.joint = holders.by_bit, holders.members, holders.joint
        self.blocks = 0
        """Leading blocks looked at so far."""
        self.best = 0
        """The most blocks that any holder, or media of a source together, have; known in the end."""
        self.out: list[tuple[int, int]] = []
        """Bits of holders that are out, and how many blocks they have."""
        self.joint_ends: list[tuple[int, int]] = []
        """Bits of a source's media together, and how many blocks they have."""
        self._holding = holders.leading
        self._jointly = [*holders.joint]

    def pass_over(self, segment: Segment, start: int, count: int) -> bool:
        """The next blocks of the request are these of a segment; whether anybody still has all."""
        holding = segment.full & self._holding
        segment.used = True
        if holding == self._holding and not self._jointly:  # as it mostly is
            self.blocks += count
            return True
        if segment.part is not None:
            for bit, bitmap in segment.part.items():
                if bit & self._holding:
                    has = trailing_ones(bitmap >> start)
                    if has >= count:
                        holding |= bit
                    elif has:
                        self.out.append((bit, self.blocks + has))
                        self._holding ^= bit
        if holding != self._holding:
            self.out.append((self._holding ^ holding, self.blocks))
            self._holding = holding
        if self._jointly:
            self._jointly = [bits for bits in self._jointly if self._have_jointly(bits, segment, start, count)]
        self.blocks += count
        return bool(holding or self._jointly)

    def end(self) -> None:
        """There is no more that anybody could have."""
        if self._holding or self._jointly:
            self.best = self.blocks
        else:
            self.best = max(blocks for _, blocks in (*self.out, *self.joint_ends, (0, 0)))
        if self._holding:
            self.out.append((self._holding, self.blocks))
        self.joint_ends += [(bits, self.blocks) for bits in self._jointly]
        self._holding, self._jointly = 0, []

    def holders(self) -> Iterator[tuple[Holder, int]]:
        """How many leading blocks each holder has, of those that have any."""
        for bits, blocks in self.out:
            if blocks:
                for bit in bits_of(bits):
                    yield self.by_bit[bit], blocks

    def _have_jointly(self, bits: int, segment: Segment, start: int, count: int) -> bool:
        if segment.full & bits:
            return True
        bitmap = 0
        for bit, held in (segment.part or {}).items():
            if bit & bits:
                bitmap |= held
        has = trailing_ones(bitmap >> start)
        if has < count:
            self.joint_ends.append((bits, self.blocks + has))
        return has >= count


def by_keys(first: dict[int, Segment], wanted: Wanted, reach: Reach) -> None:
    """Look at blocks by their own keys."""
    at, blocks, numbers = 0, wanted.blocks, wanted.numbers
    while at < blocks:
        if len(numbers) < at + LONGEST:
            wanted.chain_to(at + LONGEST)
        segment = first.get(numbers[at])
        if segment is None:
            break
        theirs, start = segment.keys, at * KEY_BYTES
        ours = wanted.packed[start : start + len(theirs)]
        count = len(theirs) // KEY_BYTES if ours == theirs else agreeing(theirs, ours)
        if not reach.pass_over(segment, 0, count):
            break
        at += count
    reach.end()


def by_hashes(space: Space, hashes: Sequence[BlockHash], reach: Reach) -> None:
    """Look at blocks by an engine's hashes, from `hashes[0]` on."""
    at, hashes = 0, tuple(hashes)
    while at < len(hashes):
        segment = space.by_hash.get(hashes[at])
        if segment is None:
            break
        names = segment.names_with(hashes[at])
        start = names.index(hashes[at])
        count = _common(names[start:], hashes[at : at + len(names) - start])
        if not reach.pass_over(segment, start, count):
            break
        at += count
    reach.end()


def _common(one: Sequence[BlockHash | None], other: Sequence[BlockHash]) -> int:
    if one[: len(other)] == other:
        return len(other)
    return next(number for number, name in enumerate(other) if one[number] != name)
