"""What is counted of an index."""

from __future__ import annotations

from typing import Final

from attrs import frozen

BUCKETS: Final = 15
"""Finite ones; one more counts what is beyond."""
FIRST_BUCKET_NS: Final = 10_000
SEGMENT_BYTES: Final = 420
"""A segment by itself: measured, with its list, its keys' header and its slot among all."""
BLOCK_BYTES: Final = 104
"""A block by its hash, its slot in the dict, which is half full in the middle, and its key: measured."""


@frozen(kw_only=True)
class IndexStats:
    """An index at one moment; counts only rise, but for what is there."""

    sources: int
    holders: int
    """Media and groups of sources."""
    blocks: int
    """Blocks kept, each counted once whoever has it."""
    names: int
    """Hashes under which they are filed, of which engines with different seeds have different ones; what is bounded."""
    resident: int
    """Blocks that sources have, each counted for everyone who has it."""
    segments: int
    orphans: int
    """Blocks whose parent is not known."""
    bytes: int
    """What all of it takes, as an estimate."""
    events: int
    stored: int
    """Blocks stored, and so on."""
    removed: int
    unknown_removals: int
    """Removed blocks that were not there, as is normal after a late start."""
    remote: int
    """Blocks that are not memory of the pod that told of them, and not indexed."""
    evictions: int
    """Blocks given up to keep to the bounds."""
    matches: int
    match_seconds: float
    match_buckets: tuple[int, ...]
    """Matches by how long they took: up to 10 µs, 20 µs, 40 µs, …, and longer than all."""
    matched_blocks: int
    """Of all matches together, what the best pod had."""
    matched_buckets: tuple[int, ...]
    """Matches by what the best pod had: no block, up to 1, 2, 4, …, and more than all."""


class MatchTally:
    """Counts of matches."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.buckets = [0] * (BUCKETS + 1)
        self.blocks = 0
        self.block_buckets = [0] * (BUCKETS + 2)

    def took(self, nanoseconds: int, blocks: int) -> None:
        self.count += 1
        self.seconds += nanoseconds / 1e9
        self.buckets[min((max(nanoseconds - 1, 0) // FIRST_BUCKET_NS).bit_length(), BUCKETS)] += 1
        self.blocks += blocks
        self.block_buckets[min(1 + (blocks - 1).bit_length() if blocks else 0, BUCKETS + 1)] += 1


def estimated_bytes(names: int, segments: int) -> int:
    return names * BLOCK_BYTES + segments * SEGMENT_BYTES
