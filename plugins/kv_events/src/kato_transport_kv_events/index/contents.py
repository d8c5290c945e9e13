"""All segments, findable by an engine's hash of any of their blocks and by the own key of their first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kato_transport.events import BlockHash
from kato_transport_kv_events.index.keys import Shape, key_at, pack, root_key
from kato_transport_kv_events.index.segment import LONGEST, Alias, Orphan, Segment


class SpaceKey(NamedTuple):
    """Within which an engine's hash says what is in a block. None of these is in the hash itself, with some engines."""

    model: str
    lora: str | int | None
    """The adapter's name, or its id where an old engine does not say the name."""
    block_size: int


class Space:
    """Hashes that mean one thing each."""

    __slots__ = ("by_hash", "key", "shapes", "waiting")

    def __init__(self, key: SpaceKey) -> None:
        self.key = key
        self.shapes: set[Shape] = set()
        """How tokens are cut into the blocks of its prefixes; several where an engine looks ahead now and then."""
        self.by_hash: dict[BlockHash, Segment] = {}
        self.waiting: dict[BlockHash, list[Segment]] = {}
        """Orphans, by the parent that they wait for."""


class Contents:
    """The segments; who has what of them is written by others."""

    def __init__(self) -> None:
        self.spaces: dict[SpaceKey, Space] = {}
        self.first: dict[int, Segment] = {}
        """By the own key of their first block."""
        self.shapes: dict[tuple[str, str | int | None], set[Shape]] = {}
        """How prefixes of a model and adapter are cut into blocks."""
        self.segments: list[Segment] = []
        self.blocks = 0
        """In all segments; whoever has them, each counts once."""
        self.names = 0
        """Hashes under which they are filed, which is what memory goes by."""

    def space(self, key: SpaceKey) -> Space:
        space = self.spaces.get(key)
        if space is None:
            space = self.spaces[key] = Space(key)
        return space

    def root(self, space: Space, shape: Shape) -> int:
        """The key that prefixes of this shape are chained to."""
        key = space.key
        if shape not in space.shapes:
            space.shapes.add(shape)
            self.shapes.setdefault((key.model, key.lora), set()).add(shape)
        return root_key(key.model, key.lora, shape)

    def drop_empty_spaces(self) -> None:
        self.spaces = {key: space for key, space in self.spaces.items() if space.by_hash}
        self.shapes = {}
        for key, space in self.spaces.items():
            self.shapes.setdefault((key.model, key.lora), set()).update(space.shapes)

    def add(self, space: Space, hashes: tuple[BlockHash, ...], keys: bytes = b"", orphan: Orphan | None = None) -> Segment:
        """A segment of blocks that are nowhere yet."""
        segment = Segment(space, hashes, keys, orphan)
        self._enlist(segment)
        self._name(segment, hashes)
        if orphan is not None:
            space.waiting.setdefault(orphan.parent, []).append(segment)
        return segment

    def add_unless_known(self, space: Space, hashes: tuple[BlockHash, ...], keys: Sequence[int]) -> list[Segment]:
        """Segments of blocks that are nowhere yet; none, and nothing has changed, where a hash is known or comes twice.

        Whether that is so is seen by filing them, as to look before is to look everything up twice.
        """
        by_hash, known = space.by_hash, len(space.by_hash)
        segments: list[Segment] = []
        for start in range(0, len(hashes), LONGEST):
            end = start + LONGEST
            segment = Segment(space, hashes[start:end], pack(keys[start:end]))
            segments.append(segment)
            for name in segment.hashes:
                by_hash.setdefault(name, segment)
        if len(by_hash) - known != len(hashes):
            _unfile(by_hash, segments)
            return []
        for segment in segments:
            self._enlist(segment)
        self.blocks += len(hashes)
        self.names += len(hashes)
        return segments

    def extend(self, segment: Segment, hashes: tuple[BlockHash, ...], keys: bytes) -> None:
        segment.hashes += hashes
        segment.keys += keys
        self._name(segment, hashes)

    def free(self, segment: Segment) -> None:
        """Nobody has any of it any more."""
        by_hash = segment.space.by_hash
        for name in segment.hashes:
            del by_hash[name]
        for alias in segment.aliases or ():
            self._forget_names(alias)
        if segment.keys:
            del self.first[key_at(segment.keys, 0)]
        if segment.orphan is not None:
            self._wait_no_more(segment, segment.orphan.parent)
        self.blocks -= len(segment.hashes)
        self.names -= len(segment.hashes)
        self._vacate(segment)

    def alias(self, segment: Segment, position: int, space: Space, hashes: tuple[BlockHash, ...], bit: int) -> None:
        """Other hashes for blocks of a segment, of the same space or another one."""
        end = position + len(hashes)
        if segment.own is None:
            self._begin_aliases(segment)
        for alias in segment.aliases or ():
            if bit in alias.held and alias.space is space and alias.hashes[position:end].count(None) == len(hashes):
                break
        else:
            alias = Alias(space, (None,) * len(segment.hashes))
            segment.aliases = [*(segment.aliases or ()), alias]
        alias.hashes = (*alias.hashes[:position], *hashes, *alias.hashes[end:])
        self.name(segment, space, hashes)

    def name(self, segment: Segment, space: Space, hashes: Sequence[BlockHash]) -> None:
        """Have a segment found by these hashes."""
        by_hash = space.by_hash
        for name in hashes:  # at half the cost of an update
            by_hash[name] = segment
        self.names += len(hashes)

    def drop_unused_aliases(self, segment: Segment) -> None:
        """Hashes by which nobody has anything of a segment are of no use."""
        kept: list[Alias] = []
        for alias in segment.aliases or ():
            if alias.held:
                kept.append(alias)
            else:
                self._forget_names(alias)
        segment.aliases = kept or None
        if not kept and segment.own is not None:
            segment.copies, segment.own = segment.own.copies, None

    def _begin_aliases(self, segment: Segment) -> None:
        own = segment.own = Alias(segment.space, segment.hashes)
        own.held, own.copies, segment.copies = segment.held_by_all(), segment.copies, None

    def _enlist(self, segment: Segment) -> None:
        segment.slot = len(self.segments)
        self.segments.append(segment)
        if segment.keys:
            self.first[key_at(segment.keys, 0)] = segment

    def _name(self, segment: Segment, hashes: tuple[BlockHash, ...]) -> None:
        self.name(segment, segment.space, hashes)
        self.blocks += len(hashes)

    def _forget_names(self, alias: Alias) -> None:
        for name in alias.hashes:
            if name is not None:
                del alias.space.by_hash[name]
                self.names -= 1

    def _wait_no_more(self, segment: Segment, parent: BlockHash) -> None:
        waiting = segment.space.waiting
        waiting[parent].remove(segment)
        if not waiting[parent]:
            del waiting[parent]

    def _vacate(self, segment: Segment) -> None:
        last = self.segments.pop()
        if last is not segment:
            self.segments[segment.slot] = last
            last.slot = segment.slot


def _unfile(by_hash: dict[BlockHash, Segment], segments: Iterable[Segment]) -> None:
    """Have nothing found in segments that are none after all."""
    for segment in segments:
        for name in segment.hashes:
            if by_hash.get(name) is segment:
                del by_hash[name]
