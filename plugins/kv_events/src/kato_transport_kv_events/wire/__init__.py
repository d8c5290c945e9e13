"""What engines put on the wire, and nothing of sockets or state."""

from __future__ import annotations

from kato_transport_kv_events.wire.answer import END
from kato_transport_kv_events.wire.batch import (
    Batch,
    BatchFault,
    DecodedEvent,
    EventKind,
    Skipped,
    SkipReason,
    UndecodableBatch,
)
from kato_transport_kv_events.wire.decode import decode_batch

__all__ = [
    "END",
    "Batch",
    "BatchFault",
    "DecodedEvent",
    "EventKind",
    "SkipReason",
    "Skipped",
    "UndecodableBatch",
    "decode_batch",
]
