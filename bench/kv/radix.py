"""NVIDIA Dynamo's RadixTree under measurement; for an environment that has `ai-dynamo-runtime` and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from dynamo._core import RadixTree, compute_block_hash_for_seq

from bench.kv.workload import BLOCK_SIZE, Batch, Chain, Removed, Stored


class Radix:
    """Given events as JSON, which is what it takes, with the tokens' hashes made before."""

    def __init__(self) -> None:
        self._tree = RadixTree()
        self._numbers = count()

    def given(self, batch: Batch) -> list[tuple[int, bytes]]:
        return [(event.pod, self._json(event)) for event in batch]

    def apply(self, given: list[tuple[int, bytes]]) -> None:
        apply_event = self._tree.apply_event
        for worker, event in given:
            apply_event(worker, event)

    def request(self, chain: Chain, blocks: int) -> list[int]:
        return compute_block_hash_for_seq(chain.tokens(blocks).tolist(), BLOCK_SIZE)

    def match(self, request: list[int]) -> Any:
        return self._tree.find_matches(request)

    def who(self, match: Any) -> Mapping[int, int]:
        return {worker: blocks for (worker, _), blocks in match.scores.items()}

    def read(self, match: Any) -> object:
        return match.scores

    def match_tokens(self, token_ids: list[int]) -> object:
        return self._tree.find_matches(compute_block_hash_for_seq(token_ids, BLOCK_SIZE)).scores

    def forget(self, pod: int) -> None:
        self._tree.remove_worker(pod)

    def _json(self, event: Stored | Removed) -> bytes:
        data: dict[str, Any]
        if isinstance(event, Removed):
            data = {"removed": {"block_hashes": event.hashes}}
        else:
            keys = compute_block_hash_for_seq(event.tokens.tolist(), BLOCK_SIZE)
            blocks = [{"block_hash": name, "tokens_hash": key} for name, key in zip(event.hashes, keys, strict=True)]
            data = {"stored": {"parent_hash": event.parent, "blocks": blocks}}
        text = json.dumps({"event_id": next(self._numbers), "data": data, "dp_rank": 0}, separators=(",", ":"))
        return text.encode()
