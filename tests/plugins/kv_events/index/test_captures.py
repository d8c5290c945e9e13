"""What engines of every version sent leaves the index with what an independent script says, and with prefixes to be found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from attrs import Factory, define, frozen

from kato_transport.events import AllBlocksCleared, BlockHash, BlockRemoved, BlockStored, KVEvent
from kato_transport_kv_events import decode_batch
from kato_transport_kv_events.index import BlockIndex, Match

from .. import recorded

STREAMS = [(folder, name) for folder in recorded.FOLDERS for name in recorded.live(folder)]
REAL = [(folder, name) for folder, name in STREAMS if folder.startswith(("engine-", "blockpool-", "radix-"))]
"""Of engines, where tokens and hashes belong together; the other streams' blocks are made up."""


@frozen
class Prefix:
    """What is in a block and before it, as a gateway knows it."""

    ids: tuple[int, ...] = ()
    """With the one that was looked ahead at, where an engine did."""
    ahead: int = 0
    lora: str | int | None = None
    salt: str | None = None
    hashes: tuple[BlockHash, ...] = ()

    def cut(self, blocks: int, size: int, ahead: int) -> Prefix | None:
        """Its first blocks, if a request of these tokens has so many."""
        end = blocks * size + ahead
        return None if end > len(self.ids) else Prefix(self.ids[:end], ahead, self.lora, self.salt)

    def behind(self, event: BlockStored, number: int) -> Prefix:
        """This one and the blocks of an event up to that number."""
        pairs = event.token_ids.bigrams
        new = [each[0] if pairs else each for each in event.token_ids[: (number + 1) * event.block_size]]
        ahead = (event.token_ids[len(new) - 1][1],) if pairs else ()
        ids = (*self.ids[: len(self.ids) - self.ahead], *new, *ahead)
        lora = event.lora_name or event.lora_id
        first = [key for key in (event.extra_keys or [None])[0] or () if key != lora]
        salt = self.salt or event.cache_salt or (first[-1] if first else None)
        return Prefix(ids, len(ahead), lora, salt, (*self.hashes, *event.block_hashes[: number + 1]))


@define
class Engine:
    """What an engine has, by its own word."""

    size: int = 0
    prefixes: dict[BlockHash | None, Prefix] = Factory(lambda: {None: Prefix()})
    held: Counter[BlockHash] = Factory(Counter)
    """In the group of full attention, if there are several."""

    def follow(self, event: KVEvent) -> None:
        match event:
            case AllBlocksCleared():
                self.held.clear()
            case BlockRemoved() if event.group_idx in (None, self.group):
                self.held.subtract(event.block_hashes)
            case BlockStored() if event.kv_cache_spec_kind in (None, "full_attention"):
                self.size, self.group = event.block_size, event.group_idx
                self.held.update(event.block_hashes)
                before = self.prefixes[event.parent_block_hash]
                for number, name in enumerate(event.block_hashes):
                    self.prefixes[name] = before.behind(event, number)

    group: int | None = None

    def leading(self, asked: Prefix) -> int:
        """How much of a request there is."""
        there = {prefix.cut(len(prefix.hashes), self.size, prefix.ahead) for prefix in self.having()}
        return max(_leading([asked.cut(count, self.size, ahead) in there for count in range(1, 30)]) for ahead in (0, 1))

    def having(self) -> Iterator[Prefix]:
        return (self.prefixes[name] for name, count in self.held.items() if count > 0)


def _leading(there: Sequence[bool]) -> int:
    return there.index(False)


def found(match: Match) -> int:
    return match.pods[0].blocks if match.pods else 0


def events(folder: str, name: str) -> Iterator[KVEvent]:
    for message in recorded.live(folder)[name]:
        yield from decode_batch(message.payload, pod="pod", sequence=message.sequence).events


@pytest.mark.parametrize("counting", ["copies", "set"])
@pytest.mark.parametrize(("folder", "name"), STREAMS)
def test_the_index_ends_with_what_the_engine_had(folder, name, counting) -> None:
    index, ranks = BlockIndex(counting=counting), set()
    for event in events(folder, name):
        index.handle_event(event)
        ranks.add(event.origin.rank)
    (rank,) = ranks
    final = recorded.expected(folder)["final"][name]
    if counting == "copies":
        expected = {(medium or "GPU", group, each): count for medium, group, each, count in final["live_refcounted"]}
    else:
        expected = {(medium or "GPU", group, each): 1 for medium, group, each in final["live_as_set"]}
    assert index.resident("pod", rank) == expected


@pytest.mark.parametrize(("folder", "name"), REAL)
def test_at_every_moment_every_prefix_is_found_as_far_as_it_is_there(folder, name) -> None:
    """By tokens just so far; by hashes so, too, where no other hashes stand for the same tokens."""
    index, engine, everything = BlockIndex(), Engine(), 0
    for event in events(folder, name):
        index.handle_event(event)
        engine.follow(event)
        for prefix in engine.prefixes.values():
            leading = engine.leading(prefix)
            assert found(index.match(prefix.ids, lora_name=prefix.lora, cache_salt=prefix.salt)) == leading
            by_hash = _leading([*(engine.held[name] > 0 for name in prefix.hashes), False])
            assert by_hash <= found(index.match_hashes(prefix.hashes, lora_name=prefix.lora)) <= leading
            everything += leading
    assert everything > 100
