"""Segments: up to 32 consecutive blocks of one chain, and who has which of them.

A block lives in one segment only, and a segment is never split: who has some of its blocks has a bitmap of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from enum import IntEnum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import frozen

from kato_transport.events import BlockHash
from kato_transport_kv_events.index.bitmaps import bits_of, positions
from kato_transport_kv_events.index.keys import Extras, Shape

if TYPE_CHECKING:
    from kato_transport_kv_events.index.contents import Space

LONGEST: Final = 32
"""Blocks of a segment: long enough to make its own cost small for each, short enough that what is compared is."""


class Knowledge(IntEnum):
    """What is known of blocks beside who has them."""

    HASH = auto()
    TOKENS = auto()
    """And which block is before them; but not what is in that."""
    PREFIX = auto()
    """All that they are made of, and so their keys."""


class Content(NamedTuple):
    """What the keys of consecutive blocks are made of."""

    ids: array[int]
    """Their tokens, and those looked ahead at."""
    shape: Shape
    extras: Extras | None = None

    def part(self, start: int, end: int) -> Content:
        size = self.shape.block_size
        ids = self.ids[start * size : end * size + self.shape.lookahead]
        return Content(ids, self.shape, self.extras and self.extras[start:end])


@frozen
class Orphan:
    """Why blocks have no keys yet: their parent is not known."""

    parent: BlockHash
    content: Content


class Alias:
    """Other hashes of a segment's blocks, by engines that hash with another seed; None where they have said none."""

    __slots__ = ("copies", "hashes", "held", "space")

    def __init__(self, space: Space, hashes: tuple[BlockHash | None, ...]) -> None:
        self.space = space
        self.hashes = hashes
        self.held: dict[int, int] = {}
        """By bit of a holder, a bitmap of the positions that it has by these hashes."""
        self.copies: dict[tuple[int, int], int] | None = None
        """As of a segment, of what is held by these hashes."""

    def held_by(self, bit: int) -> int:
        return self.held.get(bit, 0)


class Segment:
    """Consecutive blocks; without `keys` where their tokens or their parent are not known (yet)."""

    __slots__ = ("aliases", "copies", "full", "hashes", "keys", "orphan", "own", "part", "slot", "space", "used")

    def __init__(self, space: Space, hashes: tuple[BlockHash, ...], keys: bytes, orphan: Orphan | None = None) -> None:
        self.space = space
        self.hashes = hashes
        """The engine's hash of each block; a tuple, as the garbage collector does not look through one."""
        self.keys = keys
        self.orphan = orphan
        self.full = 0
        """Bits of the holders that have all blocks."""
        self.part: dict[int, int] | None = None
        """Of the others, by bit: a bitmap of positions."""
        self.copies: dict[tuple[int, int], int] | None = None
        """Further physical copies of blocks, beyond the first, by bit and position; beside aliases each of them has its own."""
        self.aliases: list[Alias] | None = None
        self.own: Alias | None = None
        """Who has what by `hashes`; kept only beside aliases."""
        self.used = False
        """Whether it was stored to again or matched since it was last thought of giving it up."""
        self.slot = -1

    @property
    def knowledge(self) -> Knowledge:
        if self.keys:
            return Knowledge.PREFIX
        return Knowledge.HASH if self.is_names_only else Knowledge.TOKENS

    @property
    def is_names_only(self) -> bool:
        """Whether nothing is known of it but hashes."""
        return not self.keys and self.orphan is None

    @property
    def everything(self) -> int:
        """The bitmap of all positions."""
        return (1 << len(self.hashes)) - 1

    @property
    def holders(self) -> int:
        """Bits of whoever has any of its blocks."""
        bits = self.full
        for bit in self.part or ():
            bits |= bit
        return bits

    def held_by_all(self) -> dict[int, int]:
        """By bit, the bitmaps of what holders have."""
        return dict.fromkeys(bits_of(self.full), self.everything) | (self.part or {})

    def held_by(self, bit: int) -> int:
        """The bitmap of what a holder has."""
        if self.full & bit:
            return self.everything
        return self.part.get(bit, 0) if self.part else 0

    @property
    def rows(self) -> tuple[Segment | Alias, ...]:
        """Each row of hashes, with who has what by them."""
        return (self,) if self.own is None else (self.own, *(self.aliases or ()))

    def row_with(self, block_hash: BlockHash) -> Segment | Alias:
        """The one of them that has this hash."""
        for alias in self.aliases or ():
            if block_hash in alias.hashes:
                return alias
        return self.own or self

    def names_with(self, block_hash: BlockHash) -> tuple[BlockHash | None, ...]:
        """The row of hashes that has this one."""
        return self.row_with(block_hash).hashes

    def is_all_of(self, bit: int, space: Space) -> bool:
        """Whether one holder has all of it, by its hashes in this space, and nobody else has any: then it may get longer."""
        return self.full == bit and self.part is None and self.aliases is None and self.space is space

    def position(self, block_hash: BlockHash) -> int:
        """Where the block of this hash is."""
        hashes = self.hashes
        if self.aliases is None:
            return len(hashes) - 1 if hashes[-1] == block_hash else hashes.index(block_hash)  # as parents mostly are last
        return self.names_with(block_hash).index(block_hash)

    def copies_of(self, bit: int) -> Iterator[tuple[BlockHash, int]]:
        """The hashes, by which a holder goes, of the blocks that it has, and how many copies of each."""
        for row in self.rows:
            for position in positions(row.held_by(bit)):
                if (name := row.hashes[position]) is not None:
                    yield name, 1 + (row.copies or {}).get((bit, position), 0)
