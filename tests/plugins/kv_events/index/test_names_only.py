"""An index of engines' hashes alone says what a plain model says, and looks at nothing else."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kato_transport import InvalidSetting
from kato_transport_kv_events import BlockIndex, KVEventManager, Snapshot, decode_batch
from kato_transport_kv_events.testing import stored

from .engines import SOURCES, Engines, Step, steps
from .plain import PlainIndex
from .test_against_plain import assert_between
from .world import FORKS, NAMES


def check(engines: Engines) -> None:
    check_resident(engines)
    for chain in range(len(FORKS)):
        for family in NAMES:
            found = {(pod.pod, pod.rank): pod for pod in engines.index.match_hashes(family[chain]).pods}
            for source in SOURCES:
                has = engines.plain.source(*source)
                least, most = has.placed().leading(chain, family[chain]), has.leading(chain, family[chain])
                assert_between(found.get(source), least, most)


def check_resident(engines: Engines) -> None:
    for source in SOURCES:
        assert engines.index.resident(*source) == engines.plain.source(*source).resident()


@settings(max_examples=60)
@given(st.lists(steps, max_size=25))
def test_it_knows_what_everybody_has_and_where_prefixes_begin(taken: list[Step]) -> None:
    engines = Engines(BlockIndex(keys=False), PlainIndex())
    for step in taken:
        engines.take(step)
    check(engines)


@settings(max_examples=40)
@given(before=st.lists(steps, max_size=15), after=st.lists(steps, max_size=10), keyed=st.booleans())
def test_it_goes_on_from_a_snapshot_of_either_kind(before: list[Step], after: list[Step], keyed: bool) -> None:
    engines = Engines(BlockIndex(keys=keyed), PlainIndex())
    for step in before:
        engines.take(step)
    restored = BlockIndex(keys=False)
    with KVEventManager() as manager:
        restored.restore(Snapshot.from_bytes(engines.index.snapshot(manager).to_bytes()))
    engines.index = restored
    for step in after:
        engines.take(step)
    check_resident(engines)
    if not keyed:  # with keys it is known, too, that another engine's hashes are of the same blocks
        check(engines)


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
