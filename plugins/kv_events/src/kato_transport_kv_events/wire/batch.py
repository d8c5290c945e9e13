"""What comes of a payload: a batch, with a word for everything in it that could not be read; or no batch."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen
from msgspec import Struct

from kato_transport.errors import DecodeError
from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored

EventKind = type[BlockStored] | type[BlockRemoved] | type[AllBlocksCleared]
DecodedEvent = BlockStored | BlockRemoved | AllBlocksCleared


class SkipReason(StrEnum):
    """Why an event of a batch was passed over."""

    UNKNOWN_TAG = "unknown_tag"
    """An event of a kind that did not exist when this was written."""
    MALFORMED = "malformed"
    """Not what events of its kind look like; or nothing like an event, and then its kind is None."""


@frozen(kw_only=True)
class Skipped:
    """Events of a batch that were passed over, and where."""

    reason: SkipReason
    kind: EventKind | None
    """Of events that are malformed, if they say so: a lost `BlockRemoved` is worse than a lost `BlockStored`."""
    position: int
    """How many events of the batch come before: an `AllBlocksCleared` that comes after makes up for what was lost."""
    count: int


class Batch(Struct, frozen=True, kw_only=True):  # made for every message, at a fifth of what attrs takes
    """The events of one message, in order."""

    timestamp_s: float
    """When the engine made the batch, in seconds since 1970."""
    rank: int | None
    """As on the wire: None where the engine does not say."""
    events: tuple[DecodedEvent, ...]
    skipped: tuple[Skipped, ...] = ()


class BatchFault(StrEnum):
    """Why a whole batch cannot be read."""

    NOT_MSGPACK = "not_msgpack"
    """Cut off, longer than it says, or never MessagePack."""
    TOO_DEEP = "too_deep"
    """Nested beyond what the interpreter bears."""
    NOT_A_BATCH = "not_a_batch"
    """Something else than `[ts, events, rank]`."""
    TIMESTAMP = "timestamp"
    """A time that no calendar has."""


class UndecodableBatch(DecodeError):
    """A payload is no batch of events; `reason` is a `BatchFault`."""

    def __init__(self, fault: BatchFault, head: bytes, size: int) -> None:
        super().__init__("kv-events", head, fault, size)
        self.args = (fault, head, size)
