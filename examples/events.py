"""Follow KV-cache events: several handlers of one stream, and one of them fails without harm to the others.

Events come from an engine through an event transport; here, this process publishes them itself, over `memory`.

Prints:

    blocks: 2 (+2)
    blocks: 1 (-1)
    batches 5 to 7 are lost: what is known of pod-a cannot be trusted
    blocks: 0 (cleared)
    kinds: BlockStored 1, BlockRemoved 1, EventsLost 1, AllBlocksCleared 1
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import assert_never

import kato_transport as kt
from kato_transport.events import AllBlocksCleared, BlockHash, BlockRemoved, BlockStored, EventsLost, KVEvent, Origin
from kato_transport.memory import publish

ENGINE = "memory://engine"


class Blocks:
    """A handler is an object with `handle_event`; a `match` over all four kinds cannot overlook a gap."""

    def __init__(self) -> None:
        self._held: set[BlockHash] = set()

    def handle_event(self, event: KVEvent) -> None:
        match event:
            case BlockStored():
                self._held.update(event.block_hashes)
                print(f"blocks: {len(self._held)} (+{len(event.block_hashes)})")
            case BlockRemoved():
                self._held.difference_update(event.block_hashes)
                print(f"blocks: {len(self._held)} (-{len(event.block_hashes)})")
            case AllBlocksCleared():
                self._held.clear()
                print("blocks: 0 (cleared)")
            case EventsLost():
                print(f"batches {event.first} to {event.last} are lost: what is known of {event.origin.pod} cannot be trusted")
            case _:
                assert_never(event)


def fail(event: KVEvent) -> None:
    """What a handler raises is counted and logged; it stops neither the stream nor the other handlers."""
    raise RuntimeError("this handler always fails")


def at(sequence: int) -> Origin:
    return Origin(pod="pod-a", sequence=sequence, timestamp_s=time.time())


def main() -> None:
    logging.getLogger("kato_transport.events").addHandler(logging.NullHandler())
    kinds: Counter[str] = Counter()

    def count(event: KVEvent) -> None:
        """A function will do as a handler, too."""
        kinds[type(event).__name__] += 1

    subscriptions = [kt.subscribe(ENGINE, handler, transport="memory") for handler in (fail, Blocks(), count)]
    publish(ENGINE, BlockStored(origin=at(3), block_hashes=(11, 12), token_ids=tuple(range(32)), block_size=16))
    publish(ENGINE, BlockRemoved(origin=at(4), block_hashes=(12,)))
    publish(ENGINE, EventsLost(origin=at(8), first=5, last=7))
    publish(ENGINE, AllBlocksCleared(origin=at(8)))
    for subscription in subscriptions:
        subscription.close()
    publish(ENGINE, AllBlocksCleared(origin=at(9)))  # nobody is there to hear it
    print("kinds:", ", ".join(f"{kind} {times}" for kind, times in kinds.items()))


if __name__ == "__main__":
    main()
