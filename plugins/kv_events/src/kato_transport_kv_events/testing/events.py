"""Events to publish, without the origin that only a received one has."""

from __future__ import annotations

from typing import Any, Final

from kato_transport.events import AllBlocksCleared, BlockHash, BlockRemoved, BlockStored, Origin

NOWHERE: Final = Origin(pod="", sequence=0, timestamp_s=0.0)


def stored(*block_hashes: BlockHash, **fields: Any) -> BlockStored:
    """Blocks entered the cache; `fields` are those of `BlockStored`."""
    return BlockStored(origin=NOWHERE, block_hashes=block_hashes, **fields)


def removed(*block_hashes: BlockHash, **fields: Any) -> BlockRemoved:
    """Blocks left the cache; `fields` are those of `BlockRemoved`."""
    return BlockRemoved(origin=NOWHERE, block_hashes=block_hashes, **fields)


def cleared() -> AllBlocksCleared:
    """The cache was emptied."""
    return AllBlocksCleared(origin=NOWHERE)
