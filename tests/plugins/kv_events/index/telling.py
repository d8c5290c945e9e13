"""Events told to an index by hand, and its answers in short."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kato_transport.events import AllBlocksCleared, BlockHash, BlockRemoved, BlockStored
from kato_transport_kv_events.index import BlockIndex, Match

from .world import origin

SIZE = 2
"""Tokens in a block where nothing else is said."""


def store(
    index: BlockIndex,
    pod: str,
    hashes: Iterable[BlockHash],
    ids: Iterable[Any] = (),
    *,
    parent: BlockHash | None = None,
    block_size: int = SIZE,
    rank: int = 0,
    model: str = "",
    **fields: Any,
) -> None:
    event = BlockStored(
        origin=origin(pod, rank, model),
        block_hashes=tuple(hashes),
        token_ids=list(ids),
        parent_block_hash=parent,
        block_size=block_size,
        **fields,
    )
    index.handle_event(event)


def remove(index: BlockIndex, pod: str, *hashes: BlockHash, rank: int = 0, **fields: Any) -> None:
    index.handle_event(BlockRemoved(origin=origin(pod, rank), block_hashes=hashes, **fields))


def clear(index: BlockIndex, pod: str, rank: int = 0) -> None:
    index.handle_event(AllBlocksCleared(origin=origin(pod, rank)))


def sweep(index: BlockIndex) -> None:
    """Events that change nothing, until what forgotten sources left is gone: 16 segments for each, twice around."""
    for _ in range(4 + index.stats().segments // 4):
        remove(index, "nobody", 0)


def blocks(match: Match) -> dict[str, int]:
    """How many leading blocks each pod has."""
    return {pod.pod: pod.blocks for pod in match.pods}
