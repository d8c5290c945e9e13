"""The questions and their answers, as maps that any codec carries; what request transports and HTTP both serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import asdict, fields, filters

from kato_transport import ErrorCode, ServiceError
from kato_transport.events import BlockHash
from kato_transport_kv_events.keeping import Snapshots
from kato_transport_kv_events.service.questions import HashesQuestion, MatchQuestion, asked
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.subscription.stats import SourceStats

Answer = dict[str, Any]
_COUNTS = filters.exclude(fields(SourceStats).processing_buckets, fields(SourceStats).replay_buckets)


class Holder(Protocol):
    """What one rank of a pod has of a prompt."""

    @property
    def pod(self) -> str: ...
    @property
    def rank(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def by_medium(self) -> Mapping[str, int]: ...
    @property
    def state(self) -> State: ...
    @property
    def generation(self) -> int: ...
    @property
    def block_size(self) -> int: ...


class Matched(Protocol):
    """What an index answers; the best holder first."""

    @property
    def block_size(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def pods(self) -> Sequence[Holder]: ...


class Index(Protocol):
    """What is asked of a `BlockIndex`."""

    def match(
        self,
        token_ids: Sequence[int],
        *,
        model: str = "",
        lora_name: str | int | None = None,
        cache_salt: str | None = None,
    ) -> Matched: ...
    def match_hashes(self, hashes: Sequence[BlockHash], *, model: str = "", lora_name: str | int | None = None) -> Matched: ...


class Following(Protocol):
    """What is asked of a `KVEventManager`."""

    def stats(self) -> list[SourceStats]: ...


class Queries:
    """The queries of one index and of the sources that fill it; may be asked by any thread."""

    def __init__(self, index: Index, manager: Following, snapshots: Snapshots) -> None:
        self._index = index
        self._manager = manager
        self._snapshots = snapshots

    def methods(self) -> dict[str, Callable[..., Answer]]:
        """By name, to be served."""
        return {
            "kv.match": self.match,
            "kv.match_hashes": self.match_hashes,
            "kv.sources": self.sources,
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

    def snapshot(self, *, save: bool = False) -> Answer:
        """The whole index with where its sources stand, as bytes; with `save`, written to the service's own file instead."""
        if not isinstance(save, bool):
            raise ServiceError("Expected `bool` - at `$.save`", ErrorCode.INVALID_PARAMS)
        if save:
            return asdict(self._snapshots.save())
        taken = self._snapshots.take()
        return {"snapshot": taken.to_bytes(), "taken_at_s": taken.taken_at_s}


def _answer(match: Matched) -> Answer:
    return {"block_size": match.block_size, "blocks": match.blocks, "pods": [_holder(pod) for pod in match.pods]}


def _holder(pod: Holder) -> Answer:
    return {
        "pod": pod.pod,
        "rank": pod.rank,
        "blocks": pod.blocks,
        "by_medium": dict(pod.by_medium),
        "state": str(pod.state),
        "generation": pod.generation,
        "block_size": pod.block_size,
    }
