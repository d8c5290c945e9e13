"""A made-up cache: what an engine might store, copy, evict and clear, and the truth about what is resident then.

The truth is what the batches say, counted one by one; it knows nothing of how anybody else counts.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

BLOCK_SIZE = 16
VOCABULARY = 100_000
MOST_CHAINS = 60

Hash = int | bytes
Key = tuple[str, int | None, Hash]
Fields = dict[str, Any]

HASHES: dict[str, Callable[[bytes], Hash]] = {
    "int": lambda digest: int.from_bytes(digest[-8:], "big"),
    "signed": lambda digest: int.from_bytes(digest[:8], "big", signed=True),
    "bytes": lambda digest: digest,
}


@dataclass
class Chain:
    """Blocks, each the child of the one before it, as one request holds them; a copy of it has the same numbers."""

    medium: str
    group: int | None
    numbers: list[int] = field(default_factory=list)


class Cache:
    """The cache of one life; hashes and tokens are the same in every life, as those of real engines are."""

    def __init__(self, hashes: str, groups: list[int | None], media: list[str]) -> None:
        self._hash = HASHES[hashes]
        self._homes = [(medium, group) for medium in media for group in groups]
        self._random = random.Random(7)
        self._numbers = 0
        self._chains: list[Chain] = []
        self._log: list[list[tuple[int, list[Key]]]] = []

    # --- events, by the names of their fields -------------------------------------------------------------------

    def stored(self, blocks: int) -> Fields:
        """A new chain."""
        chain = Chain(*self._random.choice(self._homes))
        self._chains.append(chain)
        return self._grown(chain, blocks)

    def some(self) -> list[Fields]:
        """One to three events that store, copy and evict."""
        return [self._random.choice(self._kinds())() for _ in range(self._random.randint(1, 3))]

    def cleared(self) -> list[Fields]:
        """In the midst of a batch, as an engine that holds it back until its next step does."""
        before = self.stored(3)
        self._chains.clear()
        return [before, {"type": "AllBlocksCleared"}, self.stored(2)]

    def _kinds(self) -> list[Callable[[], Fields]]:
        if not self._chains:
            return [self._another]
        if len(self._chains) > MOST_CHAINS:
            return [self._evicted]
        return [self._another, self._another, self._longer, self._longer, self._evicted, self._evicted, self._copied]

    def _another(self) -> Fields:
        return self.stored(self._random.randint(1, 8))

    def _longer(self) -> Fields:
        return self._grown(self._random.choice(self._chains), 1)

    def _copied(self) -> Fields:
        """The same blocks once more, as two requests that run at the same time store them."""
        chain = self._random.choice(self._chains)
        copy = Chain(chain.medium, chain.group, chain.numbers[: self._random.randint(1, len(chain.numbers))])
        self._chains.append(copy)
        return self._store(copy, copy.numbers, None)

    def _grown(self, chain: Chain, blocks: int) -> Fields:
        parent = chain.numbers[-1] if chain.numbers else None
        new = list(range(self._numbers, self._numbers + blocks))
        self._numbers += blocks
        chain.numbers += new
        return self._store(chain, new, parent)

    def _store(self, chain: Chain, numbers: list[int], parent: int | None) -> Fields:
        return {
            "type": "BlockStored",
            "block_hashes": [self._hash_of(number) for number in numbers],
            "parent_block_hash": None if parent is None else self._hash_of(parent),
            "token_ids": [token for number in numbers for token in tokens_of(number)],
            "block_size": BLOCK_SIZE,
            "medium": chain.medium,
            "group_idx": chain.group,
        }

    def _evicted(self) -> Fields:
        """The last blocks of a chain, leaf first."""
        chain = self._random.choice(self._chains)
        gone = [chain.numbers.pop() for _ in range(self._random.randint(1, len(chain.numbers)))]
        if not chain.numbers:
            self._chains.remove(chain)
        hashes = [self._hash_of(number) for number in gone]
        return {"type": "BlockRemoved", "block_hashes": hashes, "medium": chain.medium, "group_idx": chain.group}

    def _hash_of(self, number: int) -> Hash:
        return self._hash(hashlib.sha256(b"block %d" % number).digest())

    # --- the truth ----------------------------------------------------------------------------------------------

    def published(self, events: Iterable[Fields]) -> None:
        """These went out as the next batch."""
        self._log.append([_change(event) for event in events])

    def resident(self, without: tuple[int, int]) -> Counter[Key]:
        """What is there after all batches, but for those from one number up to another, that one not included."""
        found: Counter[Key] = Counter()
        for number, changes in enumerate(self._log):
            for step, keys in [] if without[0] <= number < without[1] else changes:
                if not step:
                    found.clear()
                for key in keys:
                    found[key] = max(0, found[key] + step)
        return +found

    @property
    def batches(self) -> int:
        return len(self._log)


def tokens_of(number: int) -> list[int]:
    return [(number * BLOCK_SIZE + offset) % VOCABULARY for offset in range(BLOCK_SIZE)]


def _change(event: Fields) -> tuple[int, list[Key]]:
    step = {"BlockStored": 1, "BlockRemoved": -1, "AllBlocksCleared": 0}[event["type"]]
    return step, [(event["medium"], event["group_idx"], block_hash) for block_hash in event.get("block_hashes", ())]
