"""The answer to which pods hold a request's prefix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final

from msgspec import Struct

from kato_transport_kv_events.index.keys import Shape
from kato_transport_kv_events.index.reach import Reach
from kato_transport_kv_events.index.sources import Holder, IndexedSource
from kato_transport_kv_events.stream.trust import State

TRUST: Final = (State.EXACT, State.PARTIAL, State.SYNCING, State.DEGRADED, State.STALE, State.CONNECTING)
"""From what can be relied upon most to what least."""


class PodMatch(Struct, frozen=True, kw_only=True):  # made for every pod of every answer, at a fifth of what attrs takes
    """What one rank of a pod has of a request."""

    pod: str
    rank: int
    blocks: int
    """Leading blocks, each of them in any medium."""
    by_medium: Mapping[str, int]
    """Leading blocks in each medium by itself, those that have none left out."""
    state: State
    """How far this can be relied upon."""
    generation: int
    """Counts how often what the source held was given up."""
    block_size: int
    """Tokens in a block, of this pod's."""


class Match:
    """Who has how much of a request, best first."""

    def __init__(self, reaches: list[Reach]) -> None:
        self._reaches = reaches

    @property
    def block_size(self) -> int:
        """Tokens in a block; of the best pod's, where engines differ; 0 where nobody has any blocks of the model."""
        return self._leading_shape.block_size

    @property
    def blocks(self) -> int:
        """Whole blocks in the request."""
        return next((reach.in_request for reach in self._reaches if reach.shape == self._leading_shape), 0)

    @property
    def best(self) -> int:
        """The most leading blocks that anybody has; told without looking at who it is."""
        return max([reach.best for reach in self._reaches], default=0)

    @cached_property
    def pods(self) -> tuple[PodMatch, ...]:
        """Everybody who has any; with the state of when this is first asked for."""
        best: dict[IndexedSource, PodMatch] = {}
        for reach in self._reaches:
            for source, pod in _pods_of(reach):
                if source not in best or _tokens(pod) > _tokens(best[source]):
                    best[source] = pod
        return tuple(sorted(best.values(), key=lambda pod: (-_tokens(pod), TRUST.index(pod.state), pod.pod, pod.rank)))

    @property
    def _leading_shape(self) -> Shape:
        """The shape in which the most tokens are held."""
        reaches = sorted(self._reaches, key=lambda reach: (-reach.best * reach.shape.block_size, reach.shape.block_size))
        return reaches[0].shape if reaches else Shape(0)

    def __repr__(self) -> str:
        return f"Match(block_size={self.block_size}, blocks={self.blocks}, pods={self.pods!r})"


def _tokens(pod: PodMatch) -> int:
    return pod.blocks * pod.block_size


def _pods_of(reach: Reach) -> Iterable[tuple[IndexedSource, PodMatch]]:
    has: dict[Holder, int] = {}
    for holder, blocks in reach.holders():
        if len(reach.members[holder.source]) == 1:  # as it mostly is
            yield holder.source, _pod(holder, blocks, {holder.medium: blocks}, reach)
        else:
            has[holder] = blocks
    together = {reach.joint[bits]: blocks for bits, blocks in reach.joint_ends}
    for source in {holder.source for holder in has}:
        members = reach.members[source]
        if blocks := _in_any(source, members, has, together):
            by_medium = {medium: count for medium in _media(members) if (count := _in_medium(medium, members, has))}
            yield source, _pod(members[0], blocks, by_medium, reach)


def _pod(holder: Holder, blocks: int, by_medium: Mapping[str, int], reach: Reach) -> PodMatch:
    source = holder.source
    return PodMatch(
        pod=source.pod,
        rank=source.rank,
        blocks=blocks,
        by_medium=by_medium,
        state=source.state,
        generation=holder.generation,
        block_size=reach.shape.block_size,
    )


def _in_any(
    source: IndexedSource,
    members: Sequence[Holder],
    has: Mapping[Holder, int],
    together: Mapping[tuple[IndexedSource, int | None], int],
) -> int:
    """With several groups, a prefix is there as far as all of them have it; what is of no group is of each."""
    groups = {holder.group for holder in members} - {None} or {None}
    alone = {holder.group: has.get(holder, 0) for holder in members}
    return min(together.get((source, group), alone[group]) for group in groups)


def _in_medium(medium: str, members: Sequence[Holder], has: Mapping[Holder, int]) -> int:
    there = {holder.group: has.get(holder, 0) for holder in members if holder.medium == medium}
    of_none = there.pop(None, 0)
    return max(of_none, min(there.values(), default=0))


def _media(members: Sequence[Holder]) -> list[str]:
    return sorted({holder.medium for holder in members})
