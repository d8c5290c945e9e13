"""From a match to a ranking that a router can use: what a prefix is worth by where it lies, and how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import field, frozen

from kato_transport import InvalidSetting
from kato_transport_kv_events.index.match import TRUST, Match, PodMatch
from kato_transport_kv_events.stream.trust import State

TIERS: Final[Mapping[str, float]] = {"GPU": 1.0, "CPU": 0.8, "CPU_PINNED": 0.8, "DISK": 0.5, "STORAGE": 0.5, "EXTERNAL": 0.4}
"""What a block is worth that lies in a medium, against one in the GPU."""
OTHER_TIER: Final = 0.4
TRUSTED: Final[Mapping[State, float]] = {
    State.EXACT: 1.0,
    State.PARTIAL: 1.0,
    State.SYNCING: 0.8,
    State.DEGRADED: 0.5,
    State.STALE: 0.1,
    State.CONNECTING: 0.0,
}
"""What a source's word is worth. What a `partial` source says is there is there."""


@frozen(kw_only=True)
class Scored:
    """A pod with what it is worth to a request."""

    pod: PodMatch
    score: float
    """Tokens that need not be computed, each weighted."""


def _weights(weights: Mapping[Any, float]) -> Mapping[Any, float]:
    for name, weight in weights.items():
        if not (isinstance(weight, int | float) and 0 <= weight < math.inf):
            raise InvalidSetting(f"weight {weight!r} of {name}; expected a number from 0 on")
    return dict(weights)


@frozen(kw_only=True)
class Scorer:
    """Ranks pods; made once, used for every request. `InvalidSetting` for weights that are none."""

    tiers: Mapping[str, float] = field(default=TIERS, converter=_weights)
    other_tier: float = OTHER_TIER
    """Of media that `tiers` does not name, and of blocks that no medium reaches to by itself."""
    trusted: Mapping[State, float] = field(default=TRUSTED, converter=_weights)

    def rank(self, match: Match, load: Callable[[str, int], float] | None = None) -> list[Scored]:
        """Best first; of those worth the same, the one that can be trusted more, then the one with less load."""
        scored = [Scored(pod=pod, score=self.score(pod)) for pod in match.pods]

        def order(item: Scored) -> tuple[float, int, float, str, int]:
            pod = item.pod
            burden = 0.0 if load is None else load(pod.pod, pod.rank)
            return -item.score, TRUST.index(pod.state), burden, pod.pod, pod.rank

        return sorted(scored, key=order)

    def score(self, pod: PodMatch) -> float:
        """Each leading block by the best medium that reaches to it; what only media together reach, as `other_tier`."""
        tiers = [(self.tiers.get(medium, self.other_tier), blocks) for medium, blocks in pod.by_medium.items()]
        worth, reached = 0.0, 0
        for weight, blocks in sorted(tiers, reverse=True):
            worth += weight * max(0, blocks - reached)
            reached = max(reached, blocks)
        worth += self.other_tier * (pod.blocks - reached)
        return worth * pod.block_size * self.trusted.get(pod.state, 0.0)
