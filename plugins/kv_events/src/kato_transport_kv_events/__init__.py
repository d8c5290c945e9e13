"""KV-cache events of vLLM and SGLang engines: what they say, in every dialect, and what to make of it.

Names are imported when they are first used, so that finding the plugin costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kato_transport_kv_events.discovery import Discovery, DiscoveryStats, Roster, open_discovery
    from kato_transport_kv_events.hashing import sglang_block_hashes, vllm_block_hashes, vllm_root
    from kato_transport_kv_events.index import BlockIndex, IndexStats, Match, PodMatch, Request, Scored, Scorer, Snapshot
    from kato_transport_kv_events.stream import Checkpoint, Flaw, Policy, State, StreamSettings
    from kato_transport_kv_events.subscription import (
        HandlerStats,
        KVEventManager,
        Limits,
        ListenerStats,
        Source,
        SourceStats,
    )
    from kato_transport_kv_events.wire import Batch, UndecodableBatch, decode_batch

__all__ = [
    "Batch",
    "BlockIndex",
    "Checkpoint",
    "Discovery",
    "DiscoveryStats",
    "Flaw",
    "HandlerStats",
    "IndexStats",
    "KVEventManager",
    "Limits",
    "ListenerStats",
    "Match",
    "PodMatch",
    "Policy",
    "Request",
    "Roster",
    "Scored",
    "Scorer",
    "Snapshot",
    "Source",
    "SourceStats",
    "State",
    "StreamSettings",
    "UndecodableBatch",
    "decode_batch",
    "open_discovery",
    "sglang_block_hashes",
    "vllm_block_hashes",
    "vllm_root",
]

_HOMES = {
    **dict.fromkeys(("Batch", "UndecodableBatch", "decode_batch"), "wire"),
    **dict.fromkeys(("Discovery", "DiscoveryStats", "Roster", "open_discovery"), "discovery"),
    **dict.fromkeys(("sglang_block_hashes", "vllm_block_hashes", "vllm_root"), "hashing"),
    **dict.fromkeys(("BlockIndex", "IndexStats", "Match", "PodMatch", "Request", "Scored", "Scorer", "Snapshot"), "index"),
    **dict.fromkeys(("Checkpoint", "Flaw", "Policy", "State", "StreamSettings"), "stream"),
    **dict.fromkeys(("HandlerStats", "KVEventManager", "Limits", "ListenerStats", "Source", "SourceStats"), "subscription"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
