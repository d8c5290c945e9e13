"""The contents as rows of plain values, and back: what a snapshot holds.

Holders have their number in the list of all in place of a bit, and spaces theirs.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from kato_transport.events import BlockHash
from kato_transport_kv_events.index.bitmaps import bits_of
from kato_transport_kv_events.index.contents import Contents, Space, SpaceKey
from kato_transport_kv_events.index.keys import Shape
from kato_transport_kv_events.index.segment import Alias, Content, Orphan, Segment
from kato_transport_kv_events.index.sources import Holder, Holders, IndexedSource


class SpaceRow(Struct, array_like=True, frozen=True):
    model: str
    lora: str | int | None
    block_size: int
    shapes: list[tuple[int, int]]


class HolderRow(Struct, array_like=True, frozen=True):
    medium: str
    group: int | None
    windowed: bool


class SourceRow(Struct, array_like=True, frozen=True):
    pod: str
    rank: int
    generation: int
    has_unsized: bool
    spaces: list[int]
    holders: list[HolderRow]


class OrphanRow(Struct, array_like=True, frozen=True):
    parent: BlockHash
    ids: list[int]
    shape: tuple[int, int]
    extras: list[Any] | None


class AliasRow(Struct, array_like=True, frozen=True):
    space: int
    hashes: list[BlockHash | None]
    held: list[tuple[int, int]]
    copies: list[tuple[int, int, int]]


class SegmentRow(Struct, array_like=True, frozen=True):
    space: int
    hashes: list[BlockHash]
    keys: bytes
    full: list[int]
    part: list[tuple[int, int]]
    copies: list[tuple[int, int, int]]
    """Holder, position, and how many beyond the first."""
    own: AliasRow | None
    aliases: list[AliasRow]
    orphan: OrphanRow | None


class Rows(Struct, array_like=True, frozen=True):
    spaces: list[SpaceRow]
    sources: list[SourceRow]
    segments: list[SegmentRow]


def rows_of(contents: Contents, holders: Holders) -> Rows:
    """Everything that somebody alive has."""
    spaces = {key: number for number, key in enumerate(contents.spaces)}
    everybody = [holder for source in holders.sources.values() for holder in source.holders.values()]
    numbers = {holder.bit: number for number, holder in enumerate(everybody)}
    rows = (_segment_row(segment, spaces, numbers) for segment in contents.segments)
    return Rows(
        spaces=[SpaceRow(*key, shapes=[(*shape,) for shape in space.shapes]) for key, space in contents.spaces.items()],
        sources=[_source_row(source, spaces) for source in holders.sources.values()],
        segments=[row for row in rows if row.full or row.part],
    )


def restore(rows: Rows, contents: Contents, holders: Holders) -> None:
    """Put rows into contents that are empty."""
    spaces = [_restored_space(row, contents) for row in rows.spaces]
    everybody = [holder for row in rows.sources for holder in _restored_source(row, spaces, holders)]
    for row in rows.segments:
        _restore_segment(row, spaces, everybody, contents)


# --- to rows ------------------------------------------------------------------------------------------------------------


def _source_row(source: IndexedSource, spaces: dict[SpaceKey, int]) -> SourceRow:
    holders = [HolderRow(holder.medium, holder.group, holder.windowed) for holder in source.holders.values()]
    known = [spaces[space.key] for space in source.spaces.values()]
    return SourceRow(source.pod, source.rank, source.generation, source.has_unsized, known, holders)


def _segment_row(segment: Segment, spaces: dict[SpaceKey, int], numbers: dict[int, int]) -> SegmentRow:
    orphan = segment.orphan
    return SegmentRow(
        space=spaces[segment.space.key],
        hashes=[*segment.hashes],
        keys=segment.keys,
        full=_numbers(segment.full, numbers),
        part=_held(segment.part, numbers),
        copies=_copies(segment.copies, numbers),
        own=None if segment.own is None else _alias_row(segment.own, spaces, numbers),
        aliases=[_alias_row(alias, spaces, numbers) for alias in segment.aliases or ()],
        orphan=None if orphan is None else _orphan_row(orphan),
    )


def _alias_row(alias: Alias, spaces: dict[SpaceKey, int], numbers: dict[int, int]) -> AliasRow:
    held, copies = _held(alias.held, numbers), _copies(alias.copies, numbers)
    return AliasRow(spaces[alias.space.key], [*alias.hashes], held, copies)


def _held(held: dict[int, int] | None, numbers: dict[int, int]) -> list[tuple[int, int]]:
    return [(numbers[bit], bitmap) for bit, bitmap in (held or {}).items() if bit in numbers]


def _copies(copies: dict[tuple[int, int], int] | None, numbers: dict[int, int]) -> list[tuple[int, int, int]]:
    return [(numbers[bit], at, count) for (bit, at), count in (copies or {}).items() if bit in numbers]


def _orphan_row(orphan: Orphan) -> OrphanRow:
    content = orphan.content
    extras = None if content.extras is None else [*content.extras]
    return OrphanRow(orphan.parent, content.ids.tolist(), (*content.shape,), extras)


def _numbers(bits: int, numbers: dict[int, int]) -> list[int]:
    return [numbers[bit] for bit in bits_of(bits) if bit in numbers]


# --- and back -----------------------------------------------------------------------------------------------------------


def _restored_space(row: SpaceRow, contents: Contents) -> Space:
    space = contents.space(SpaceKey(row.model, row.lora, row.block_size))
    for shape in row.shapes:
        contents.root(space, Shape(*shape))
    return space


def _restored_source(row: SourceRow, spaces: Sequence[Space], holders: Holders) -> Iterable[Holder]:
    source = holders.source(row.pod, row.rank)
    source.generation, source.has_unsized = row.generation, row.has_unsized
    source.spaces = {spaces[number].key: spaces[number] for number in row.spaces}
    for known in row.holders:
        holder = holders.holder(source, known.medium, known.group)
        if known.windowed:
            holders.set_windowed(holder)
        yield holder


def _restore_segment(row: SegmentRow, spaces: Sequence[Space], everybody: Sequence[Holder], contents: Contents) -> None:
    orphan = None if row.orphan is None else _restored_orphan(row.orphan)
    segment = contents.add(spaces[row.space], (*row.hashes,), row.keys, orphan)
    segment.full = _bits(row.full, everybody)
    segment.part = {everybody[number].bit: bitmap for number, bitmap in row.part} or None
    segment.copies = {(everybody[number].bit, position): count for number, position, count in row.copies} or None
    if row.own is not None:
        segment.own = _restored_alias(row.own, spaces, everybody)
        segment.aliases = [_restored_alias(alias, spaces, everybody) for alias in row.aliases]
        for alias in segment.aliases:
            contents.name(segment, alias.space, [name for name in alias.hashes if name is not None])
        contents.drop_unused_aliases(segment)
    for number in (*row.full, *(number for number, _ in row.part)):
        holder = everybody[number]
        holder.source.blocks += sum(each.held_by(holder.bit).bit_count() for each in segment.rows)


def _restored_alias(row: AliasRow, spaces: Sequence[Space], everybody: Sequence[Holder]) -> Alias:
    alias = Alias(spaces[row.space], (*row.hashes,))
    alias.held = {everybody[number].bit: bitmap for number, bitmap in row.held}
    alias.copies = {(everybody[number].bit, position): count for number, position, count in row.copies} or None
    return alias


def _restored_orphan(row: OrphanRow) -> Orphan:
    return Orphan(row.parent, Content(array("I", row.ids), Shape(*row.shape), row.extras))


def _bits(numbers: Iterable[int], everybody: Sequence[Holder]) -> int:
    return sum(everybody[number].bit for number in numbers)
