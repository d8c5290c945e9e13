"""In place of an engine's own file: the same names, with this project's publisher behind them.

`fault` plants one: the publisher does not say what its owner believes.
"""

from __future__ import annotations

from queue import Queue
from typing import Any

import msgspec

from kato_transport_kv_events.testing import EventPublisher


class KVCacheEvent(msgspec.Struct, omit_defaults=True, tag=True):
    pass


class BlockStored(KVCacheEvent):
    block_hashes: list[int | bytes]
    parent_block_hash: int | bytes | None
    token_ids: list[int]
    block_size: int
    medium: str | None
    group_idx: int | None = None


class BlockRemoved(KVCacheEvent):
    block_hashes: list[int | bytes]
    medium: str | None
    group_idx: int | None = None


class AllBlocksCleared(KVCacheEvent):
    pass


class KVEventBatch(msgspec.Struct, array_like=True):
    ts: float
    events: list[Any]
    data_parallel_rank: int | None = None


class ZmqEventPublisher:
    def __init__(self, data_parallel_rank: int, fault: str = "", **options: Any):
        self._data_parallel_rank = data_parallel_rank
        self._fault = fault
        self._event_queue: Queue[None] = Queue()
        self._events = EventPublisher("vllm-0.33.0", **options)

    def publish(self, batch: KVEventBatch) -> None:
        if self._fault == "dies":
            raise SystemExit
        events = list(batch.events)
        for event in batch.events:
            if self._fault == "keeps a removal to itself" and isinstance(event, BlockRemoved):
                events.remove(event)
            if self._fault == "says a copy twice" and isinstance(event, BlockStored):
                events.append(event)
        self._events.publish_payload(msgspec.msgpack.encode([batch.ts, events, self._data_parallel_rank]))

    def shutdown(self) -> None:
        self._events.close()
