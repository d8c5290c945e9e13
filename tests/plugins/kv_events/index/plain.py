"""A plain model of the index: what everybody has, in counters, and what is in a block, in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from attrs import define, field

from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored, Origin

SIZE = 2
"""Tokens in a block."""
Prefix = tuple[int, ...]
"""All tokens up to the end of a block: its content."""
Place = tuple[str, int | None, int]
"""Medium, group and hash."""
Source = tuple[str, int]


@define
class PlainIndex:
    """`truth` says what every hash stands for; `known` what has been said of those that somebody has, or of their parents."""

    truth: dict[int, Prefix]
    counted: bool = True
    has: dict[Source, Counter[Place]] = field(factory=dict)
    known: dict[int, Prefix] = field(factory=dict)
    told: dict[int, tuple[int | None, Prefix]] = field(factory=dict)
    """By hash: its parent, and its own tokens."""

    def handle(self, event: BlockStored | BlockRemoved | AllBlocksCleared) -> None:
        has = self.has.setdefault((event.origin.pod, event.origin.rank), Counter())
        match event:
            case BlockStored():
                for name in event.block_hashes:
                    has[event.medium, event.group_idx, name] += (
                        1 if self.counted else not has[event.medium, event.group_idx, name]
                    )
                self._tell(event)
            case BlockRemoved():
                for name in event.block_hashes:
                    if has[event.medium, event.group_idx, name]:
                        has[event.medium, event.group_idx, name] -= 1
            case AllBlocksCleared():
                has.clear()
        self._learn()

    def forget(self, pod: str, rank: int) -> None:
        self.has.pop((pod, rank), None)
        self._learn()

    def resident(self, pod: str, rank: int) -> dict[Place, int]:
        return {place: count for place, count in self.has.get((pod, rank), Counter()).items() if count}

    def leading(self, pod: str, rank: int, request: Prefix, meaning: dict[int, Prefix]) -> tuple[int, dict[str, int]]:
        """Leading blocks in any medium, and in each, where hashes have these meanings."""
        there = [(medium, meaning[name]) for medium, _, name in self.resident(pod, rank) if name in meaning]
        media = {medium for medium, _ in there}
        by_medium = {medium: _leading(request, {prefix for at, prefix in there if at == medium}) for medium in media}
        return _leading(request, {prefix for _, prefix in there}), {
            medium: count for medium, count in by_medium.items() if count
        }

    def _tell(self, event: BlockStored) -> None:
        if len(event.token_ids) != SIZE * len(event.block_hashes):
            return
        parent = event.parent_block_hash
        for number, name in enumerate(event.block_hashes):
            tokens = tuple(event.token_ids[number * SIZE : (number + 1) * SIZE])
            self.told[name] = (parent, tokens)  # type: ignore[assignment]
            parent = name  # type: ignore[assignment]

    def _learn(self) -> None:
        """Whatever nobody has any more may be forgotten; whatever has a known parent is known."""
        anybody = {name for has in self.has.values() for (_, _, name), count in has.items() if count}
        self.told = {name: told for name, told in self.told.items() if name in anybody}
        self.known = {name: prefix for name, prefix in self.known.items() if name in anybody}
        grew = True
        while grew:
            grew = False
            for name, (parent, tokens) in self.told.items():
                if name not in self.known and (parent is None or parent in self.known):
                    self.known[name] = (*(() if parent is None else self.known[parent]), *tokens)
                    grew = True


def _leading(request: Prefix, prefixes: Iterable[Prefix]) -> int:
    there, count = set(prefixes), 0
    while (count + 1) * SIZE <= len(request) and request[: (count + 1) * SIZE] in there:
        count += 1
    return count


def origin(pod: str, rank: int = 0, model: str = "") -> Origin:
    return Origin(pod=pod, rank=rank, sequence=0, timestamp_s=0.0, model=model)
