"""The index says what a plain model says, whatever engines do."""

from __future__ import annotations

from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored
from kato_transport_kv_events.index import BlockIndex

from .plain import SIZE, PlainIndex, Prefix, origin

LENGTH = 70
"""Blocks of a chain: three segments."""
FORKS = (0, 3, 32, 40)
"""Where chains part from the first one."""
SOURCES = (("a", 0), ("a", 1), ("b", 0), ("c", 0))
FAMILY = {"a": 0, "b": 0, "c": 1}
"""Pods of one family hash with the same seed."""
MEDIA = ("GPU", "CPU")


def tokens(chain: int, block: int) -> Prefix:
    own = chain + 1 if block >= FORKS[chain] else 1
    return (1000 * own + block, 7)


def prefix(chain: int, blocks: int) -> Prefix:
    return tuple(token for block in range(blocks) for token in tokens(chain, block))


def name(chain: int, block: int, family: int) -> int:
    """The engine's hash of a block: the same for chains that have not parted yet."""
    return hash((prefix(chain, block + 1), family)) & (2**64 - 1)


TRUTH = {
    name(chain, block, family): prefix(chain, block + 1)
    for chain in range(len(FORKS))
    for block in range(LENGTH)
    for family in (0, 1)
}


@frozen
class Step:
    """Something that an engine does."""

    what: str
    source: int
    chain: int
    start: int
    count: int
    medium: int
    backwards: bool


steps = st.builds(
    Step,
    what=st.sampled_from(["store"] * 6 + ["remove"] * 4 + ["part", "clear", "forget"]),
    source=st.integers(0, len(SOURCES) - 1),
    chain=st.integers(0, len(FORKS) - 1),
    start=st.sampled_from([0, 0, 0, 1, 2, 3, 5, 30, 31, 32, 33, 40, 63, 64]),
    count=st.sampled_from([1, 1, 2, 3, 5, 31, 32, 33, 64, 70]),
    medium=st.sampled_from([0, 0, 0, 1]),
    backwards=st.booleans(),
)


def carry_out(step: Step, plain: PlainIndex, index: BlockIndex) -> None:
    pod, rank = SOURCES[step.source]
    at, family = origin(pod, rank), FAMILY[pod]
    blocks = range(step.start, min(LENGTH, step.start + step.count))
    hashes = tuple(name(step.chain, block, family) for block in blocks)
    parent = name(step.chain, step.start - 1, family) if step.start else None
    medium = MEDIA[step.medium]
    event: BlockStored | BlockRemoved | AllBlocksCleared
    match step.what:
        case "store":
            ids = [token for block in blocks for token in tokens(step.chain, block)]
            event = BlockStored(
                origin=at, block_hashes=hashes, parent_block_hash=parent, token_ids=ids, block_size=SIZE, medium=medium
            )
        case "part":  # of a sliding window: nothing says which block each hash is of
            ids = [token for block in blocks for token in tokens(step.chain, block)]
            event = BlockStored(
                origin=at,
                block_hashes=hashes[::2],
                token_ids=[*ids, 1],
                block_size=SIZE,
                parent_block_hash=parent,
                medium=medium,
            )
        case "remove":
            event = BlockRemoved(origin=at, block_hashes=hashes[::-1] if step.backwards else hashes, medium=medium)
        case "clear":
            event = AllBlocksCleared(origin=at)
        case _:
            plain.forget(pod, rank)
            index.forget(pod, rank)
            return
    plain.handle(event)
    index.handle_event(event)


def check(plain: PlainIndex, index: BlockIndex) -> None:
    for pod, rank in SOURCES:
        assert index.resident(pod, rank) == plain.resident(pod, rank)
    for chain in range(len(FORKS)):
        request = prefix(chain, LENGTH)
        found = {(pod.pod, pod.rank): pod for pod in index.match(request).pods}
        for source in SOURCES:
            least, least_in = plain.leading(*source, request, plain.known)
            most, most_in = plain.leading(*source, request, plain.truth)
            pod = found.get(source)
            assert least <= (pod.blocks if pod else 0) <= most
            for medium in MEDIA:
                assert least_in.get(medium, 0) <= (pod.by_medium.get(medium, 0) if pod else 0) <= most_in.get(medium, 0)
    assert index.stats().resident == sum(len(plain.resident(*source)) for source in SOURCES)


@settings(max_examples=300)
@given(st.lists(steps, max_size=25))
def test_it_knows_what_everybody_has_and_where_prefixes_begin(taken: list[Step]) -> None:
    plain, index = PlainIndex(TRUTH), BlockIndex()
    for step in taken:
        carry_out(step, plain, index)
        check(plain, index)


@settings(max_examples=60)
@given(st.lists(steps, max_size=25))
def test_told_of_a_block_again_it_may_count_it_once(taken: list[Step]) -> None:
    plain, index = PlainIndex(TRUTH, counted=False), BlockIndex(counting="set")
    for step in taken:
        carry_out(step, plain, index)
    check(plain, index)
