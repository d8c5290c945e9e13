"""A plain model of the index: what everybody has, in counters, and what is in a block, in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from attrs import define, field

from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored

from .world import LENGTH, PARENTS, PLACES, SIZE

Place = tuple[str, int | None, int]
"""Medium, group and hash."""
Source = tuple[str, int]
Leading = tuple[int, dict[str, int]]
"""Blocks in any medium, and in each by itself."""


@define
class PlainSource:
    """What a source has."""

    places: Counter[Place] = field(factory=Counter)
    windowed: dict[tuple[str, int | None], bool] = field(factory=dict)
    """Of each medium and group that it ever stored to, whether it holds the last blocks before a hit only."""
    unplaced: set[Place] = field(factory=set)
    """What came without its size, and of which nothing else is known."""

    def resident(self) -> dict[Place, int]:
        return {place: count for place, count in self.places.items() if count}

    def leading(self, chain: int, names: Collection[int]) -> Leading:
        """What is there of a chain, if only these hashes are understood: in all groups, the windowed ones left out."""
        blocks: dict[tuple[str, int | None], set[int]] = {
            holder: set() for holder, windowed in self.windowed.items() if not windowed
        }
        for (medium, group, name), count in self.places.items():
            if count and name in names and name in PLACES[chain] and (medium, group) in blocks:
                blocks[medium, group].add(PLACES[chain][name])
        groups: dict[int | None, set[int]] = {}
        media: dict[str, int] = {}
        for (medium, group), there in blocks.items():
            groups[group] = groups.get(group, set()) | there
            media[medium] = min(_leading(there), media.get(medium, LENGTH))
        return min(map(_leading, groups.values()), default=0), media

    def placed(self) -> PlainSource:
        """Without what may be anywhere."""
        known = Counter({place: count for place, count in self.places.items() if place not in self.unplaced})
        return PlainSource(known, self.windowed)


@define
class PlainIndex:
    """`known` are the hashes whose content has been said of somebody's blocks, all the way from the beginning."""

    counted: bool = True
    sources: dict[Source, PlainSource] = field(factory=dict)
    known: set[int] = field(factory=set)
    told: set[int] = field(factory=set)
    stored: int = 0
    removed: int = 0
    unknown: int = 0
    remote: int = 0

    def source(self, pod: str, rank: int = 0) -> PlainSource:
        return self.sources.setdefault((pod, rank), PlainSource())

    def handle(self, event: BlockStored | BlockRemoved | AllBlocksCleared) -> None:
        source = self.source(event.origin.pod, event.origin.rank)
        match event:
            case AllBlocksCleared():
                self.forget(event.origin.pod, event.origin.rank)
            case _ if event.locality == "REMOTE":
                self.remote += len(event.block_hashes)
            case BlockStored():
                self._store(source, event)
            case BlockRemoved():
                self._remove(source, event)
        self._learn()

    def forget(self, pod: str, rank: int = 0) -> None:
        self.sources[pod, rank] = PlainSource()
        self._learn()

    def _store(self, source: PlainSource, event: BlockStored) -> None:
        windowed = event.kv_cache_spec_kind == "sliding_window"
        source.windowed[event.medium, event.group_idx] = windowed or source.windowed.get((event.medium, event.group_idx), False)
        sized = {place[2] for place in source.resident() if place not in source.unplaced}
        for place in _places(event):
            if not event.block_size and place[2] not in sized and not source.places[place]:
                source.unplaced.add(place)
            source.places[place] += 1 if self.counted else not source.places[place]
        if event.block_size:
            source.unplaced = {place for place in source.unplaced if place[2] not in event.block_hashes}
        if len(event.token_ids) == SIZE * len(event.block_hashes):
            self.told |= set(event.block_hashes)
        self.stored += len(event.block_hashes)

    def _remove(self, source: PlainSource, event: BlockRemoved) -> None:
        for place in _places(event):
            if source.places[place]:
                source.places[place] -= 1
                self.removed += 1
                if not source.places[place]:
                    source.unplaced.discard(place)
            else:
                self.unknown += 1

    def _learn(self) -> None:
        """Whatever nobody has any more may be forgotten; whatever has a known parent is known."""
        anybody = {name for source in self.sources.values() for _, _, name in source.placed().resident()}
        self.told &= anybody
        self.known &= anybody
        fresh = self.told - self.known
        while learnt := {name for name in fresh if PARENTS[name] is None or PARENTS[name] in self.known}:
            self.known |= learnt
            fresh -= learnt


def _places(event: BlockStored | BlockRemoved) -> Iterator[Place]:
    return ((event.medium, event.group_idx, name) for name in event.block_hashes)


def _leading(blocks: set[int]) -> int:
    return next(count for count in range(LENGTH + 1) if count not in blocks)
