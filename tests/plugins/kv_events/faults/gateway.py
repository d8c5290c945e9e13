"""What a gateway has: an index, a manager that fills it from engines, and prompts to ask about.

Block `n` has the 16 tokens from `16 * n` on, and goes by the hash `n` unless a test says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kato_transport.events import BlockHash, BlockStored
from kato_transport.testing.waiting import until
from kato_transport_kv_events import BlockIndex, KVEventManager, Match, Source, SourceStats, State
from kato_transport_kv_events.testing import EventPublisher, stored

from ..subscription.recorder import Recorder

SIZE = 16


def prompt(*blocks: int) -> list[int]:
    """The tokens of blocks, one after the other."""
    return [token for block in blocks for token in range(SIZE * block, SIZE * (block + 1))]


def chain(*blocks: int, after: int | None = None, named: Callable[[int], BlockHash] = int, **fields: Any) -> BlockStored:
    """Blocks were stored, each behind the one before it; the first at the beginning of a prompt, or after another block."""
    parent = None if after is None else named(after)
    ids = prompt(*blocks)
    return stored(*map(named, blocks), parent_block_hash=parent, token_ids=ids, block_size=SIZE, **fields)


class Gateway:
    """Follows engines, and says who has what."""

    def __init__(self, index: BlockIndex, manager: KVEventManager, told: Recorder) -> None:
        self.index = index
        self.manager = manager
        self.told = told
        """What the manager says of its sources, beside what it tells the index."""

    def follow(self, publisher: EventPublisher, pod: str = "a", **fields: Any) -> None:
        where = {"endpoint": publisher.endpoint, "replay_endpoint": publisher.replay_endpoint or ""}
        self.manager.add_source(Source(pod=pod, **{**where, **fields}))

    def match(self, *blocks: int) -> Match:
        return self.index.match(prompt(*blocks))

    def leading(self, *blocks: int) -> dict[str, int]:
        """How many leading blocks of a prompt each pod has, those that have none left out."""
        return {pod.pod: pod.blocks for pod in self.match(*blocks).pods}

    def comes_to(self, state: State, expected: dict[str, int], *blocks: int, pod: str = "a") -> None:
        """Wait until a source is in a state, and pods have these numbers of leading blocks of a prompt."""

        def is_so() -> bool:
            return self.manager.state(pod) is state and self.leading(*blocks) == expected

        try:
            until(is_so, f"{pod} did not come to {state}, with {expected} of the prompt")
        except BaseException as exc:
            exc.add_note(f"it is {self.manager.state(pod)} with {self.leading(*blocks)}, after {self.told.states}")
            raise

    def stats(self, pod: str = "a") -> SourceStats:
        return next(stats for stats in self.manager.stats() if stats.pod == pod)
