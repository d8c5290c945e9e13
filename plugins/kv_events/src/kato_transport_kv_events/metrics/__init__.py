"""What a Prometheus server reads: made from the counts of sources, handlers, endpoints and index when it asks.

Nothing here runs when an event comes, and what belonged to a source is gone with it.
"""

from __future__ import annotations

from kato_transport_kv_events.metrics.collector import KVMetrics
from kato_transport_kv_events.metrics.tables import NAMES

__all__ = ["NAMES", "KVMetrics"]
