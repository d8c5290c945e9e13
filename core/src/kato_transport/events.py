"""KV-cache events, as every event transport delivers them, whatever the engine's dialect on the wire.

Fields have the names that they have on the wire; what a dialect does not send is None. A gap is an event, too:
`EventsLost` is a member of the union, so a handler that matches exhaustively cannot overlook lost events, and the type
checker says so.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any, TypeVar

from attrs import field, frozen

from kato_transport.tokens import TokenId, TokenIds

__all__ = [
    "AllBlocksCleared",
    "BlockHash",
    "BlockRemoved",
    "BlockStored",
    "EventsLost",
    "ExtraKey",
    "KVEvent",
    "Origin",
    "TokenId",
    "TokenIds",
    "from_fields",
]

BlockHash = int | bytes
"""An engine's identity of a block: opaque, compared and never computed with."""

ExtraKey = None | bool | int | float | str | bytes | tuple["ExtraKey", ...]
"""What else than its tokens made a block's hash: an adapter's name, an image's id, a cache salt, …"""

E = TypeVar("E", "Origin", "BlockStored", "BlockRemoved")


def _token_ids(ids: Any) -> TokenIds:
    return ids if type(ids) is TokenIds else TokenIds(ids)


@frozen(kw_only=True, slots=False)  # see `from_fields`
class Origin:
    """Where an event comes from: the batch that carried it."""

    pod: str
    sequence: int
    """The publisher's number of the batch; starts again at 0 when the publisher does."""
    timestamp_s: float
    """When the engine made the batch, in seconds since 1970 in UTC."""
    rank: int = 0
    """Data-parallel rank."""
    model: str = ""
    topic: str = ""
    """As the batch was published under."""

    @property
    def timestamp(self) -> datetime:
        """When the engine made the batch, in UTC; made when asked for, as it costs as much as decoding an event."""
        return datetime.fromtimestamp(self.timestamp_s, UTC)


@frozen(kw_only=True, slots=False)  # see `from_fields`
class BlockStored:
    """Blocks entered the cache, each the child of the one before it.

    There may be fewer hashes than blocks (none, even), and the event does not say which are missing: a sliding window
    keeps only some. So never align hashes and tokens by position where `len(token_ids) != block_size * len(block_hashes)`.
    """

    origin: Origin
    block_hashes: tuple[BlockHash, ...]
    parent_block_hash: BlockHash | None = None
    token_ids: TokenIds = field(default=TokenIds(), converter=_token_ids, repr=False)
    block_size: int = 0
    """Tokens in a block; 0 where a connector stored blocks whose tokens it does not know."""
    medium: str = "GPU"
    """Where the blocks lie: `GPU`, `CPU`, `STORAGE`, `CPU_PINNED`, `DISK`, `EXTERNAL`, …"""
    lora_id: int | None = None
    lora_name: str | None = None
    extra_keys: tuple[tuple[ExtraKey, ...] | None, ...] | None = field(default=None, repr=False)
    """One for each hash; part of what makes two prefixes the same."""
    group_idx: int | None = None
    """The KV-cache group, in a model that has several kinds of attention."""
    cache_salt: str | None = field(default=None, repr=False)
    kv_cache_spec_kind: str | None = None
    kv_cache_spec_sliding_window: int | None = None
    locality: str | None = None
    """`REMOTE` is not memory of this pod."""
    ownership: str | None = None
    session_id: str | None = None
    lookahead_token_ids: tuple[tuple[int, ...], ...] | None = field(default=None, repr=False)
    """For each hash, the tokens behind its block that went into it, too."""

    @property
    def tokens_as_bytes(self) -> bytes:
        """The token ids as 32-bit big-endian integers in a row, as AIBrix's gateway hashes them."""
        ids = self.token_ids.as_array()
        if sys.byteorder == "little":
            ids.byteswap()
        return ids.tobytes()


@frozen(kw_only=True, slots=False)  # see `from_fields`
class BlockRemoved:
    """Blocks left the cache."""

    origin: Origin
    block_hashes: tuple[BlockHash, ...]
    medium: str = "GPU"
    group_idx: int | None = None
    locality: str | None = None
    ownership: str | None = None


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


def from_fields(kind: type[E], fields: dict[str, Any]) -> E:
    """An event or origin that takes over a dict of all its fields, unchecked: for decoders.

    A constructor sets field by field, which for a `BlockStored` takes longer than reading it off the wire; this takes a
    third of that. For this one reason what comes by the thousand has no slots.
    """
    event = object.__new__(kind)
    object.__setattr__(event, "__dict__", fields)
    return event
