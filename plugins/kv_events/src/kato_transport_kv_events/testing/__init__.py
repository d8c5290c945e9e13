"""For tests of what listens to engines: a publisher that speaks as any of their versions does, and misbehaves on request."""

from __future__ import annotations

from kato_transport_kv_events.testing.dialects import NAMES as DIALECTS
from kato_transport_kv_events.testing.dialects import Dialect, find_dialect
from kato_transport_kv_events.testing.encode import encode_batch
from kato_transport_kv_events.testing.events import cleared, removed, stored
from kato_transport_kv_events.testing.log import Faults
from kato_transport_kv_events.testing.publisher import EventPublisher

__all__ = [
    "DIALECTS",
    "Dialect",
    "EventPublisher",
    "Faults",
    "cleared",
    "encode_batch",
    "find_dialect",
    "removed",
    "stored",
]
