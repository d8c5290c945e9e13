"""A handler that keeps every block, and all that it was told."""

from __future__ import annotations

from collections import defaultdict

import kato_transport as kt
from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored, EventsLost, KVEvent
from kato_transport.testing.waiting import until
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.subscription import KVEventManager


class Recorder:
    """Blocks by (pod, rank); each copy counts once."""

    def __init__(self) -> None:
        self.blocks: defaultdict[tuple[str, int], set[int | bytes]] = defaultdict(set)
        self.events: list[KVEvent] = []
        self.lost: list[tuple[int, int]] = []
        self.states: list[State] = []
        self.forgotten = 0
        self.removed: list[tuple[str, int]] = []

    @kt.inline
    def handle_event(self, event: KVEvent) -> None:
        self.events.append(event)
        held = self.blocks[event.origin.pod, event.origin.rank]
        match event:
            case BlockStored():
                held.update(event.block_hashes)
            case BlockRemoved():
                held.difference_update(event.block_hashes)
            case AllBlocksCleared():
                held.clear()
            case EventsLost(first=first, last=last):
                self.lost.append((first, last))

    def forget(self, pod: str, rank: int) -> None:
        self.forgotten += 1
        self.blocks[pod, rank].clear()

    def source_changed(self, pod: str, rank: int, model: str, state: State) -> None:
        self.states.append(state)

    def source_removed(self, pod: str, rank: int) -> None:
        self.removed.append((pod, rank))

    def comes_to(self, manager: KVEventManager, state: State, *blocks: int, pod: str = "a", rank: int = 0) -> None:
        """Wait until a source is in a state, and has these blocks."""

        def is_so() -> bool:
            return manager.state(pod, rank) is state and self.blocks[pod, rank] == set(blocks)

        try:
            until(is_so, f"{pod} did not come to {state} with {sorted(blocks)}")
        except BaseException as exc:
            exc.add_note(f"it is {manager.state(pod, rank)} with {self.blocks[pod, rank]}, after {self.states}")
            raise
