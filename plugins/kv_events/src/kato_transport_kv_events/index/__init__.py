"""The block index: which pods hold which blocks, and how much of a request's prefix each of them has.

From the bottom: `keys` and `segment` are the data, `contents` finds it, `marks` says who has it. `storing` and `removing`
write events into it, `reach` and `match` read it, `patrol` keeps it small. `BlockIndex` is what others use.
"""

from __future__ import annotations

from kato_transport_kv_events.index.block_index import BlockIndex
from kato_transport_kv_events.index.match import Match, PodMatch
from kato_transport_kv_events.index.request import Request
from kato_transport_kv_events.index.scorer import Scored, Scorer
from kato_transport_kv_events.index.snapshot import Snapshot
from kato_transport_kv_events.index.stats import IndexStats

__all__ = ["BlockIndex", "IndexStats", "Match", "PodMatch", "Request", "Scored", "Scorer", "Snapshot"]
