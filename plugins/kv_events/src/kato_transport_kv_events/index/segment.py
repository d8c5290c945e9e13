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
from kato_transport_kv_events.index.bitmaps import positions
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

    __slots__ = ("hashes", "space", "users")

    def __init__(self, space: Space, size: int) -> None:
        self.space = space
        self.hashes: tuple[BlockHash | None, ...] = (None,) * size
        self.users = 0
        """Bits of holders that go by these hashes."""


class Segment:
    """Consecutive blocks; without `keys` where their tokens or their parent are not known (yet)."""

    __slots__ = ("aliases", "copies", "full", "hashes", "keys", "orphan", "part", "slot", "space", "used", "users")

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
        self.copies: dict[tuple[int, int], dict[BlockHash, int]] | None = None
        """Where holders have a block more than once: by bit and position, how often by which hash."""
        self.aliases: list[Alias] | None = None
        self.users = 0
        """Bits of holders that go by `hashes`; kept only beside aliases."""
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

    def held_by(self, bit: int) -> int:
        """The bitmap of what a holder has."""
        if self.full & bit:
            return self.everything
        return self.part.get(bit, 0) if self.part else 0

    def names_with(self, block_hash: BlockHash) -> tuple[BlockHash | None, ...]:
        """The row of hashes that has this one."""
        for alias in self.aliases or ():
            if block_hash in alias.hashes:
                return alias.hashes
        return self.hashes

    def is_all_of(self, bit: int, space: Space) -> bool:
        """Whether one holder has all of it, by its hashes in this space, and nobody else has any: then it may get longer."""
        return self.full == bit and self.part is None and self.aliases is None and self.space is space

    def position(self, block_hash: BlockHash) -> int:
        """Where the block of this hash is."""
        hashes = self.hashes
        if self.aliases is None:
            return len(hashes) - 1 if hashes[-1] == block_hash else hashes.index(block_hash)  # as parents mostly are last
        return self.names_with(block_hash).index(block_hash)

    def name_of(self, bit: int, position: int, but: BlockHash | None = None) -> BlockHash | None:
        """The hash by which a holder goes for a block, or another one than that."""
        for names in self._names_of(bit):
            if (name := names[position]) is not None and name != but:
                return name
        return None

    def copies_of(self, bit: int) -> Iterator[tuple[BlockHash, int]]:
        """The hashes, by which a holder goes, of the blocks that it has, and how many copies of each."""
        copies = self.copies or {}
        for position in positions(self.held_by(bit)):
            if (bit, position) in copies:
                yield from copies[bit, position].items()
            elif (name := self.name_of(bit, position)) is not None:
                yield name, 1

    def _names_of(self, bit: int) -> list[tuple[BlockHash | None, ...]]:
        if self.aliases is None:
            return [self.hashes]
        names: list[tuple[BlockHash | None, ...]] = [alias.hashes for alias in self.aliases if alias.users & bit]
        return [self.hashes, *names] if self.users & bit else names
