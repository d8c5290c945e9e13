"""Engines of the small world, and what they may do: each step is an event or two, told to the index and to the plain model."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from attrs import Factory, define, frozen
from hypothesis import strategies as st

from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored
from kato_transport_kv_events.index import BlockIndex

from .plain import PlainIndex, Source
from .world import FORKS, LENGTH, NAMES, SIZE, origin, tokens

MEDIA = ("GPU", "CPU")
GROUPS: dict[str, tuple[int | None, ...]] = {"hybrid": (0, 1, 2)}
"""Where a pod has any: the first is a sliding window's, the others are of full attention."""
FAMILY = {("a", 0): 0, ("a", 1): 0, ("b", 0): 0, ("c", 0): 1, ("d", 0): 2, ("hybrid", 0): 1}
"""Every source, and with which seed it hashes at first."""
SOURCES = tuple(FAMILY)
DEEDS = (
    ["nothing"]
    + ["store"] * 8
    + ["remove"] * 5
    + ["again", "twice", "part", "unsized", "remote", "idle", "idle"]
    + ["clear", "forget", "quit", "reseed"]
)


@frozen
class Step:
    """Something that an engine does."""

    what: str
    source: int
    chain: int
    start: int
    count: int
    medium: int
    group: int
    order: int
    alike: int
    """Another hash for the same tokens: of an image, say, where an engine does not tell what else it hashed."""


steps = st.builds(
    Step,
    what=st.sampled_from(DEEDS),
    source=st.integers(0, len(SOURCES) - 1),
    chain=st.integers(0, len(FORKS) - 1),
    start=st.sampled_from([0, 0, 0, 1, 2, 3, 5, 30, 31, 32, 33, 40, 63, 64]),
    count=st.sampled_from([1, 1, 2, 3, 5, 31, 32, 33, 64, 70]),
    medium=st.sampled_from([0, 0, 0, 1]),
    group=st.integers(0, 1),
    order=st.integers(0, 5),
    alike=st.sampled_from([0] * 9 + [1]),
)

Event = BlockStored | BlockRemoved | AllBlocksCleared


@define
class Engines:
    """All of them, and both indices that they tell."""

    index: BlockIndex
    plain: PlainIndex
    family: dict[Source, int] = Factory(lambda: dict(FAMILY))

    def take(self, step: Step) -> None:
        pod, rank = source = SOURCES[step.source]
        match step.what:
            case "nothing":
                return
            case "forget" | "reseed":
                self.index.forget(pod, rank)
                self.plain.forget(pod, rank)
                if step.what == "reseed":
                    self.family[source] = (self.family[source] + 1) % len(NAMES)
            case "quit":
                self.index.source_removed(pod, rank)
                self.plain.forget(pod, rank)
            case _:
                for event in events(step, (self.family[source] + step.alike) % len(NAMES)):
                    self.plain.handle(event)
                    self.index.handle_event(event)

    def finish(self) -> None:
        """Everybody removes what they have, block by block."""
        for (pod, rank), source in self.plain.sources.items():
            for (medium, group, name), count in source.resident().items():
                event = BlockRemoved(origin=origin(pod, rank), block_hashes=(name,) * count, medium=medium, group_idx=group)
                self.index.handle_event(event)


def events(step: Step, family: int) -> Iterator[Event]:
    pod, rank = SOURCES[step.source]
    blocks = range(step.start, min(LENGTH, step.start + step.count))
    names = NAMES[family][step.chain]
    hashes = tuple(names[block] for block in blocks)
    groups = GROUPS.get(pod)
    common = {
        "origin": origin(pod, rank),
        "medium": MEDIA[step.medium],
        "group_idx": groups[1 + step.group] if groups is not None else None,
    }
    stored = {
        **common,
        "block_hashes": hashes,
        "token_ids": [token for block in blocks for token in tokens(step.chain, block)],
        "parent_block_hash": names[step.start - 1] if step.start else None,
        "block_size": SIZE,
        "kv_cache_spec_kind": "full_attention" if groups is not None else None,
    }
    match step.what:
        case "twice" if not step.start:  # in one event; further on, it would say that the first is a child of the last
            yield BlockStored(**{**stored, "block_hashes": hashes * 2, "token_ids": stored["token_ids"] * 2})
        case "store" | "again" | "twice":
            yield BlockStored(**stored)
            if step.what == "again":
                yield BlockStored(**stored)
        case "part":  # of a sliding window: nothing says which block each hash is of
            windowed = {"group_idx": groups[0], "kv_cache_spec_kind": "sliding_window"} if groups is not None else {}
            yield BlockStored(**{**stored, **windowed, "block_hashes": hashes[::2], "token_ids": [*stored["token_ids"], 1]})
        case "unsized":
            yield BlockStored(**common, block_hashes=hashes[: 1 + step.order])
        case "remote":
            yield BlockStored(**{**stored, "locality": "REMOTE"})
            yield BlockRemoved(**common, block_hashes=hashes[::2], locality="REMOTE")
        case "remove":
            if groups is not None and step.order % 2:
                common["group_idx"] = groups[0]
            yield BlockRemoved(**common, block_hashes=_in_order(hashes, step.order))
        case "idle":  # but not silent: forgotten holders are swept meanwhile
            for _ in range(step.count % 8):
                yield BlockRemoved(**common, block_hashes=(0,))
        case "clear":
            yield AllBlocksCleared(origin=common["origin"])
        case _:
            raise AssertionError(step.what)


def _in_order(hashes: tuple[int, ...], order: int) -> tuple[int, ...]:
    match order:
        case 0 | 1:
            return hashes[::-1]
        case 2:
            return hashes
        case 3:
            return hashes[::2]
        case 4:
            return (*hashes[:2], *hashes)
        case _:
            return tuple(Random(len(hashes)).sample(hashes, len(hashes)))
