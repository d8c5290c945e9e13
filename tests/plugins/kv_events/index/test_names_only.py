"""An index of engines' hashes alone says what a plain model says, and looks at nothing else."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kato_transport import InvalidSetting
from kato_transport_kv_events import BlockIndex, KVEventManager, Snapshot, decode_batch
from kato_transport_kv_events.testing import stored

from .plain import PlainIndex
from .test_against_plain import FAMILY, FORKS, LENGTH, MEDIA, SOURCES, TRUTH, Step, carry_out, name, steps


def leading(there: set[int], hashes: list[int]) -> int:
    return next((count for count, one in enumerate(hashes) if one not in there), len(hashes))


def check(plain: PlainIndex, index: BlockIndex) -> None:
    check_resident(plain, index)
    for chain in range(len(FORKS)):
        for family in (0, 1):
            hashes = [name(chain, block, family) for block in range(LENGTH)]
            found = {(pod.pod, pod.rank): (pod.blocks, dict(pod.by_medium)) for pod in index.match_hashes(hashes).pods}
            assert found == {source: has for source in SOURCES if (has := expected(plain, source, hashes))[0]}


def check_resident(plain: PlainIndex, index: BlockIndex) -> None:
    for source in SOURCES:
        assert index.resident(*source) == plain.resident(*source)


def expected(plain: PlainIndex, source: tuple[str, int], hashes: list[int]) -> tuple[int, dict[str, int]]:
    places = plain.resident(*source)
    by_medium = {medium: leading({one for at, _, one in places if at == medium}, hashes) for medium in MEDIA}
    return leading({one for _, _, one in places}, hashes), {medium: count for medium, count in by_medium.items() if count}


@settings(max_examples=200)
@given(st.lists(steps, max_size=25))
def test_it_knows_what_everybody_has_and_where_prefixes_begin(taken: list[Step]) -> None:
    assert set(FAMILY.values()) == {0, 1}
    plain, index = PlainIndex(TRUTH), BlockIndex(keys=False)
    for step in taken:
        carry_out(step, plain, index)
        check(plain, index)


@settings(max_examples=50)
@given(before=st.lists(steps, max_size=15), after=st.lists(steps, max_size=10), keyed=st.booleans())
def test_it_goes_on_from_a_snapshot_of_either_kind(before: list[Step], after: list[Step], keyed: bool) -> None:
    plain, index, restored = PlainIndex(TRUTH), BlockIndex(keys=keyed), BlockIndex(keys=False)
    for step in before:
        carry_out(step, plain, index)
    with KVEventManager() as manager:
        restored.restore(Snapshot.from_bytes(index.snapshot(manager).to_bytes()))
    for step in after:
        carry_out(step, plain, restored)
        check_resident(plain, restored)
    if not keyed:  # with keys it is known, too, that another engine's hashes are of the same blocks
        check(plain, restored)


def test_it_never_looks_at_tokens() -> None:
    index = BlockIndex(keys=False)
    event = {"type": "BlockStored", "block_hashes": [1, 2], "token_ids": ["no", "ids"], "block_size": 2}
    more = {**event, "block_hashes": [3], "parent_block_hash": 2}
    index.handle_event(stored(9, token_ids=[1, 2], block_size=2))
    for one in decode_batch(msgpack.packb([1.0, [event, more], 0])).events:
        index.handle_event(one)
    assert [pod.blocks for pod in index.match_hashes([1, 2, 3, 4]).pods] == [3]


def test_one_block_after_another_fills_a_segment() -> None:
    index = BlockIndex(keys=False)
    for number in range(40):
        index.handle_event(stored(number, parent_block_hash=number - 1 if number else None, token_ids=[1, 2], block_size=2))
    assert (index.stats().blocks, index.stats().segments) == (40, 2)
    assert index.match_hashes(range(40)).best == 40


def test_asked_with_tokens_it_says_what_to_ask_with() -> None:
    with pytest.raises(InvalidSetting, match="match_hashes"):
        BlockIndex(keys=False).match([1, 2])
