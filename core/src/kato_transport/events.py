"""KV-cache events, as every event transport delivers them, whatever the engine's dialect on the wire.

A gap is an event, too: `EventsLost` is a member of the union, so a handler that matches exhaustively cannot overlook
lost events, and the type checker says so.
"""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen

BlockHash = int | bytes
"""An engine's identity of a block: opaque, compared and never computed with."""


@frozen(kw_only=True)
class Origin:
    """Where an event comes from: the batch that carried it."""

    pod: str
    sequence: int
    """The publisher's number of the batch; starts again at 0 when the publisher does."""
    timestamp: datetime
    """When the engine made the batch, in UTC."""
    rank: int = 0
    """Data-parallel rank."""
    model: str = ""


@frozen(kw_only=True)
class BlockStored:
    """Blocks entered the cache, each the child of the one before it."""

    origin: Origin
    block_hashes: tuple[BlockHash, ...]
    parent_block_hash: BlockHash | None = None
    token_ids: tuple[int, ...] = field(default=(), repr=False)
    block_size: int = 0
    medium: str = "GPU"
    lora_id: int | None = None
    lora_name: str | None = None
    group_idx: int | None = None


@frozen(kw_only=True)
class BlockRemoved:
    """Blocks left the cache."""

    origin: Origin
    block_hashes: tuple[BlockHash, ...]
    medium: str = "GPU"
    group_idx: int | None = None


@frozen(kw_only=True)
class AllBlocksCleared:
    """The publisher's cache was emptied: every medium and group."""

    origin: Origin


@frozen(kw_only=True)
class EventsLost:
    """The batches from `first` to `last`, both included, are missing for good."""

    origin: Origin
    first: int
    last: int


KVEvent = BlockStored | BlockRemoved | AllBlocksCleared | EventsLost
