"""The questions and their answers, as maps that any codec carries; what request transports and HTTP both serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import asdict, fields, filters

from kato_transport import ErrorCode, ServiceError
from kato_transport_kv_events.index import BlockIndex, Match, PodMatch
from kato_transport_kv_events.keeping import Snapshots
from kato_transport_kv_events.service.questions import ForgetQuestion, HashesQuestion, MatchQuestion, asked
from kato_transport_kv_events.subscription import KVEventManager
from kato_transport_kv_events.subscription.stats import SourceStats

Answer = dict[str, Any]
_COUNTS = filters.exclude(fields(SourceStats).processing_buckets, fields(SourceStats).replay_buckets)


class Queries:
    """The queries of one index and of the sources that fill it; may be asked by any thread."""

    def __init__(self, index: BlockIndex, manager: KVEventManager, snapshots: Snapshots) -> None:
        self._index = index
        self._manager = manager
        self._snapshots = snapshots

    def methods(self) -> dict[str, Callable[..., Answer]]:
        """By name, to be served."""
        return {
            "kv.match": self.match,
            "kv.match_hashes": self.match_hashes,
            "kv.sources": self.sources,
            "kv.forget": self.forget,
            "kv.snapshot": self.snapshot,
        }

    def match(self, **params: Any) -> Answer:
        """Who holds the leading blocks of a prompt; see `MatchQuestion`."""
        question = asked(MatchQuestion, params)
        return _answer(self._index.match(question.token_ids, cache_salt=question.cache_salt, **question.space()))

    def match_hashes(self, **params: Any) -> Answer:
        """Who holds a chain of blocks by the engine's hashes; see `HashesQuestion`."""
        question = asked(HashesQuestion, params)
        return _answer(self._index.match_hashes(question.block_hashes(), **question.space()))

    def sources(self) -> Answer:
        """Every source with its state and counts, by pod and rank."""
        return {"sources": [asdict(stats, filter=_COUNTS) for stats in self._manager.stats()]}

    def forget(self, **params: Any) -> Answer:
        """What a source held is gone, as whoever reset its idle engine knows; see `ForgetQuestion`."""
        question = asked(ForgetQuestion, params)

        def forget(_: object) -> None:
            if self._manager.state(question.pod, question.rank) is None:
                text = f"no source {question.pod!r}, rank {question.rank}, is followed; kv.sources tells which are"
                raise ServiceError(text, ErrorCode.NOT_FOUND)
            self._index.forget(question.pod, question.rank)

        self._manager.at_rest(forget)  # so that it is not removed in between, and then known again
        return {"pod": question.pod, "rank": question.rank}

    def snapshot(self, *, save: bool = False) -> Answer:
        """The whole index with where its sources stand, as bytes; with `save`, written to the service's own file instead."""
        if not isinstance(save, bool):
            raise ServiceError("Expected `bool` - at `$.save`", ErrorCode.INVALID_PARAMS)
        if save:
            return asdict(self._snapshots.save())
        taken = self._snapshots.take()
        return {"snapshot": taken.to_bytes(), "taken_at_s": taken.taken_at_s}


def _answer(match: Match) -> Answer:
    return {"block_size": match.block_size, "blocks": match.blocks, "pods": [_holder(pod) for pod in match.pods]}


def _holder(pod: PodMatch) -> Answer:
    return {
        "pod": pod.pod,
        "rank": pod.rank,
        "blocks": pod.blocks,
        "by_medium": dict(pod.by_medium),
        "state": str(pod.state),
        "generation": pod.generation,
        "block_size": pod.block_size,
    }
