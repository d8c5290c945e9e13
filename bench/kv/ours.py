"""The block index under measurement: `BlockIndex`, told of events as the decoder makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.kv.workload import BLOCK_SIZE, Batch, Chain, Stored
from kato_transport.events import KVEvent
from kato_transport_kv_events import BlockIndex, Match, Request, decode_batch
from kato_transport_kv_events.testing import encode_batch, find_dialect, removed, stored

DIALECT = find_dialect("vllm-0.33.0")


class Packed:
    """Given events decoded from a payload just before, their tokens still as they lie on the wire."""

    def __init__(self, **settings: Any) -> None:
        self._index = BlockIndex(**settings)

    def given(self, batch: Batch) -> list[KVEvent]:
        payload = encode_batch([_event(event) for event in batch], DIALECT, timestamp_s=1.0)
        return list(decode_batch(payload, pod=_pod(batch[0].pod)).events)

    def apply(self, given: list[KVEvent]) -> None:
        handle = self._index.handle_event
        for event in given:
            handle(event)

    def request(self, chain: Chain, blocks: int) -> Any:
        return Request(chain.tokens(blocks))

    def match(self, request: Any) -> Match:
        return self._index.match(request)

    def read(self, match: Match) -> object:
        return match.pods

    def who(self, match: Match) -> Mapping[int, int]:
        return {int(pod.pod.removeprefix("pod-")): pod.blocks for pod in match.pods}

    def match_tokens(self, token_ids: list[int]) -> object:
        return self._index.match(token_ids).pods

    def forget(self, pod: int) -> None:
        self._index.forget(_pod(pod), 0)

    def is_swept(self, blocks: int) -> bool:
        return self._index.stats().blocks <= blocks


class Read(Packed):
    """Given the tokens as lists of integers, read just before."""

    def given(self, batch: Batch) -> list[KVEvent]:
        events = super().given(batch)
        for event in events:
            len(getattr(event, "token_ids", ()))
        return events


class Hashes(Packed):
    """Without keys of its own, and asked with engines' hashes."""

    match_tokens = None  # type: ignore[assignment]  # tokens mean nothing to it

    def __init__(self) -> None:
        super().__init__(keys=False)

    def request(self, chain: Chain, blocks: int) -> list[int]:
        return chain.hashes()[:blocks]

    def match(self, request: list[int]) -> Match:
        return self._index.match_hashes(request)


def _pod(number: int) -> str:
    return f"pod-{number}"


def _event(event: Any) -> Any:
    if isinstance(event, Stored):
        return stored(*event.hashes, parent_block_hash=event.parent, token_ids=event.tokens, block_size=BLOCK_SIZE)
    return removed(*event.hashes)
