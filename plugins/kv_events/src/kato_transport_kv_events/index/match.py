"""The answer to which pods hold a request's prefix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final

from attrs import frozen

from kato_transport_kv_events.index.keys import Shape
from kato_transport_kv_events.index.reach import Reach
from kato_transport_kv_events.index.sources import Holder, IndexedSource
from kato_transport_kv_events.stream.trust import State

TRUST: Final = (State.EXACT, State.PARTIAL, State.SYNCING, State.DEGRADED, State.STALE, State.CONNECTING)
"""From what can be relied upon most to what least."""


@frozen(kw_only=True)
class PodMatch:
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
        return max((reach.best for reach in self._reaches), default=0)

    @cached_property
    def pods(self) -> tuple[PodMatch, ...]:
        """Everybody who has any; with the state of when this is first asked for."""
        found = [pod for reach in self._reaches for pod in _pods_of(reach)]
        return tuple(sorted(found, key=lambda pod: (-pod.blocks * pod.block_size, TRUST.index(pod.state), pod.pod, pod.rank)))

    @property
    def _leading_shape(self) -> Shape:
        """The shape in which the most tokens are held."""
        reaches = sorted(self._reaches, key=lambda reach: (-reach.best * reach.shape.block_size, reach.shape.block_size))
        return reaches[0].shape if reaches else Shape(0)

    def __repr__(self) -> str:
        return f"Match(block_size={self.block_size}, blocks={self.blocks}, pods={self.pods!r})"


def _pods_of(reach: Reach) -> Iterable[PodMatch]:
    by_source: dict[IndexedSource, dict[Holder, int]] = {}
    for holder, blocks in reach.holders():
        by_source.setdefault(holder.source, {})[holder] = blocks
    together = {reach.by_bit[bits & -bits]: blocks for bits, blocks in reach.joint_ends}
    jointly = {(holder.source, holder.group): blocks for holder, blocks in together.items()}
    for source, found in by_source.items():
        if pod := _pod(source, found, jointly, reach.shape.block_size):
            yield pod


def _pod(
    source: IndexedSource,
    found: dict[Holder, int],
    jointly: dict[tuple[IndexedSource, int | None], int],
    block_size: int,
) -> PodMatch | None:
    """With several groups a prefix is there as far as all of them have it."""
    siblings = [holder for holder in source.holders.values() if not holder.windowed]
    whole: dict[int | None, int] = {}
    by_medium: dict[str, int] = {}
    for holder in {*siblings, *found}:
        blocks = found.get(holder, 0)
        by_medium[holder.medium] = min(blocks, by_medium.get(holder.medium, blocks))
        whole[holder.group] = jointly.get((source, holder.group), max(blocks, whole.get(holder.group, 0)))
    blocks = min(whole.values())
    if not blocks:
        return None
    return PodMatch(
        pod=source.pod,
        rank=source.rank,
        blocks=blocks,
        by_medium={medium: count for medium, count in sorted(by_medium.items()) if count},
        state=source.state,
        generation=next(iter(found)).generation,
        block_size=block_size,
    )
