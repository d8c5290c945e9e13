"""Blocks counted as plainly as it can be done: what anything cleverer has to agree with."""

from __future__ import annotations

from collections import Counter, defaultdict

import kato_transport as kt
from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored, KVEvent

Key = tuple[str, int | None, int | bytes]
"""Medium, group and hash."""


class Ledger:
    """A handler that counts the copies of each block."""

    def __init__(self) -> None:
        self._pods: defaultdict[tuple[str, int], Counter[Key]] = defaultdict(Counter)

    @kt.inline
    def handle_event(self, event: KVEvent) -> None:
        blocks = self._pods[event.origin.pod, event.origin.rank]
        match event:
            case BlockStored():
                blocks.update((event.medium, event.group_idx, block_hash) for block_hash in event.block_hashes)
            case BlockRemoved():
                for block_hash in event.block_hashes:
                    key = event.medium, event.group_idx, block_hash
                    blocks[key] = max(0, blocks[key] - 1)
            case AllBlocksCleared():
                blocks.clear()

    def forget(self, pod: str, rank: int) -> None:
        self._pods[pod, rank].clear()

    def resident(self, pod: str, rank: int = 0) -> dict[Key, int]:
        return dict(+self._pods[pod, rank])
