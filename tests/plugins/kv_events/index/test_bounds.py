"""What is kept is what is there: nothing that is gone is held on to, and bounds hold."""

from __future__ import annotations

import pytest

from kato_transport import InvalidSetting
from kato_transport_kv_events import KVEventManager
from kato_transport_kv_events.index import BlockIndex
from kato_transport_kv_events.index.patrol import SWEPT_AT_ONCE
from kato_transport_kv_events.stream import Flaw

from .telling import blocks, clear, remove, store, sweep

IDS = list(range(200))
"""A hundred blocks."""


def hashes_filed(index: BlockIndex) -> int:
    return sum(len(space.by_hash) for space in index._contents.spaces.values())


def test_engines_that_restart_with_another_seed_again_and_again_leave_nothing_behind() -> None:
    """The same prompt, under other hashes each time, in a pod among others that have it, too."""
    index = BlockIndex()
    store(index, "stays", range(100), IDS)
    for life in range(1, 1000):
        index.forget("restarts", 0)
        store(index, "restarts", range(100 * life, 100 * life + 100), IDS)
        assert blocks(index.match(IDS)) == {"restarts": 100, "stays": 100}
        assert index.stats().blocks == 100
        assert index.stats().names == hashes_filed(index) <= 100 * 5
    sweep(index)
    assert index.stats().names == hashes_filed(index) == 200
    assert len(index._holders.by_bit) == 2
    assert index._holders._next < 2**10  # bits are used again


def test_hashes_for_ever_new_images_beside_blocks_that_stay_are_let_go_of() -> None:
    """As of vLLM before 0.17: the tokens of all images are the same, and events do not say more."""
    index = BlockIndex()
    store(index, "a", (0,), IDS[:2])
    for image in range(1000, 2000):
        store(index, "a", (image, -image), IDS[2:6], parent=0)
        remove(index, "a", -image, image)
    assert index.stats().names == hashes_filed(index) < 100
    assert blocks(index.match(IDS)) == {"a": 1}


def test_a_source_is_forgotten_without_going_through_what_it_had() -> None:
    index = BlockIndex()
    for prompt in range(1000):
        store(index, "a", range(32 * prompt, 32 * prompt + 32), [prompt, *range(63)])
    index.forget("a", 0)
    assert (index.resident("a"), index.match([5, *range(63)]).pods, index.stats().resident) == ({}, (), 0)
    assert index.stats().segments == 1000
    remove(index, "b", 0)  # by and by, as other events come
    assert 1000 - SWEPT_AT_ONCE <= index.stats().segments < 1000


@pytest.mark.parametrize("end", ["forget", "clear", "source_removed"])
def test_what_forgotten_sources_had_is_swept_as_events_come(end) -> None:
    index = BlockIndex()
    store(index, "stays", range(50), IDS[:100])
    for pod in range(20):
        store(index, f"pod{pod}", range(1000 * pod, 1000 * pod + 100), IDS)
        store(index, f"pod{pod}", (1000 * pod + 500,), (pod, pod), lora_name=str(pod))
        store(index, f"pod{pod}", (1000 * pod + 600,), (pod, pod), parent=-1)
    for pod in range(20):
        if end == "clear":
            clear(index, f"pod{pod}")
        else:
            getattr(index, end)(f"pod{pod}", 0)
    sweep(index)
    stats = index.stats()
    assert (stats.holders, stats.resident, stats.orphans) == (1, 50, 0)
    assert stats.names == hashes_filed(index) <= 164  # the segments that one of the last 50 blocks is in are whole
    assert stats.segments == 2
    remove(index, "stays", *range(50))
    assert (index.stats().names, hashes_filed(index), index._contents.first) == (0, 0, {})


def test_a_bit_that_is_used_again_brings_nothing_of_its_last_holder_along() -> None:
    index = BlockIndex()
    for life in range(50):
        store(index, "a", range(life, life + 40), [life, *IDS[1:80]])
        store(index, "b", range(life, life + 20), [life, *IDS[1:40]])
        index.forget("a", 0)
        store(index, "c", (0,), [-0, 0])
        clear(index, "c")
        assert index.resident("a") == {}
        assert len(index.resident("b")) == 20
        clear(index, "b")


def test_adapters_that_come_and_go_leave_nothing_behind() -> None:
    index = BlockIndex()
    for adapter in range(3000):
        store(index, "a", (adapter, adapter + 1), IDS[:4], lora_name=str(adapter))
        assert blocks(index.match(IDS, lora_name=str(adapter))) == {"a": 2}
        remove(index, "a", adapter, adapter + 1)
    assert index.stats().names == hashes_filed(index) == 0
    assert len(index._contents.spaces) <= 2048
    assert len(index._contents.shapes) <= 2048
    assert len(index._holders.sources["a", 0].spaces) <= 2048


def test_tenants_with_salts_of_their_own_cost_nothing_beside_their_blocks() -> None:
    index = BlockIndex()
    for tenant in range(10_000):
        store(index, "a", (tenant,), IDS[:2], cache_salt=str(tenant))
    assert len(index._contents.spaces) == 1
    assert blocks(index.match(IDS, cache_salt="77")) == {"a": 1}
    remove(index, "a", *range(10_000))
    assert index.stats().names == 0


# --- bounds of ours -----------------------------------------------------------------------------------------------------


def test_the_blocks_given_up_are_those_that_nobody_stored_or_asked_for_in_a_while() -> None:
    index = BlockIndex(max_blocks=10)
    for prompt in range(5):
        store(index, "a", (2 * prompt, 2 * prompt + 1), [prompt] * 4)
    for prompt in range(5, 30):
        assert blocks(index.match([0] * 4)) == {"a": 2}
        store(index, "a", (2 * prompt, 2 * prompt + 1), [prompt] * 4)
        assert index.stats().names <= 10
    assert blocks(index.match([0] * 4)) == {"a": 2}
    assert index.match([1] * 4).pods == ()
    assert index.stats().evictions == 2 * 25


def test_of_blocks_that_nobody_asked_for_those_stored_first_go_first() -> None:
    index = BlockIndex(max_blocks=100)
    for prompt in range(160):
        store(index, "a", (prompt,), (prompt, prompt))
    assert {name for _, _, name in index.resident("a")} == set(range(60, 160))


@pytest.mark.parametrize(
    "use",
    [
        lambda index: index.match((0, 0)),
        lambda index: index.match_hashes((0,)),
        lambda index: store(index, "a", (0,), (0, 0)),
        lambda index: store(index, "b", (100,), (0, 0)),
        lambda index: store(index, "a", (200,), (5, 5), parent=0),
        lambda index: store(index, "a", (200, 201), (5, 5, 6, 6), parent=0),
    ],
    ids=["asked for", "asked for by hash", "stored again", "stored by others", "grown by a block", "grown by two"],
)
def test_blocks_in_use_stay_longer(use) -> None:
    index = BlockIndex(max_blocks=10)
    for prompt in range(6):
        store(index, "a", (prompt,), (prompt, prompt))
    use(index)
    for prompt in range(6, 12):
        store(index, "a", (prompt,), (prompt, prompt))
    assert "a" in blocks(index.match((0, 0)))
    assert index.match((1, 1)).pods == ()


def test_everybody_who_lost_a_block_is_told_of() -> None:
    index, told = BlockIndex(max_blocks=4), []
    index.report_flaws_to(lambda *flaw: told.append(flaw))
    for pod in ("a", "b"):
        store(index, pod, (1, 2, 3, 4), IDS[:8])
    assert told == []
    for other in range(5):
        store(index, "c", (100 + other,), (other, other), rank=1)
    assert {("a", 0, Flaw.EVICTED), ("b", 0, Flaw.EVICTED)} <= set(told)
    assert index.resident("a") == index.resident("b") == {}


def test_further_hashes_of_the_same_blocks_count_towards_the_bound() -> None:
    index = BlockIndex(max_blocks=200)
    for pod in range(50):
        store(index, f"pod{pod}", range(100 * pod, 100 * pod + 100), IDS)
        assert index.stats().names == hashes_filed(index) <= 200


def test_blocks_that_were_given_up_take_their_copies_along() -> None:
    """Under whichever hash they were counted."""
    index = BlockIndex(max_blocks=4)
    store(index, "a", (1, 2), IDS[:4])
    for _ in range(3):
        store(index, "b", (11, 12), IDS[:4])
    for other in range(6):
        store(index, "c", (100 + other,), (other, other))
    assert index.resident("b") == {}
    remove(index, "b", 11, 12, 11, 12, 11, 12)
    store(index, "b", (11, 12), IDS[:4])
    remove(index, "b", 11, 12)
    assert index.resident("b") == {}


def test_a_source_with_too_many_blocks_begins_anew_and_is_told_of() -> None:
    index, told = BlockIndex(max_source_blocks=10), []
    index.report_flaws_to(lambda *flaw: told.append(flaw))
    store(index, "b", range(10), IDS[:20])
    store(index, "a", range(9), IDS[:18])
    store(index, "a", (9,), IDS[18:20], parent=8)
    assert told == []
    store(index, "a", (100, 101), (7, 7, 7, 7))
    assert told == [("a", 0, Flaw.EVICTED)]
    assert set(index.resident("a")) == {("GPU", None, 100), ("GPU", None, 101)}
    assert len(index.resident("b")) == 10
    assert index.stats().evictions == 10


def test_a_single_event_may_be_huge() -> None:
    """It is filed in one go, so nothing about it may grow with the square of it."""
    count = 100_000
    index = BlockIndex()
    store(index, "a", range(count), range(count), block_size=1)
    assert blocks(index.match(range(count))) == {"a": count}
    store(index, "b", range(count), range(count), block_size=1)
    store(index, "c", range(count, 2 * count), range(count), block_size=1)
    assert set(blocks(index.match(range(count))).values()) == {count}
    for pod in "ab":
        remove(index, pod, *range(count - 1, -1, -1))
    remove(index, "c", *range(count, 2 * count))
    assert index.stats().names == 0


@pytest.mark.parametrize("settings", [{"max_blocks": 0}, {"max_source_blocks": 0}, {"max_blocks": -1}, {"counting": "sets"}])
def test_settings_that_cannot_be_are_refused(settings) -> None:
    with pytest.raises(InvalidSetting):
        BlockIndex(**settings)


# --- snapshots ----------------------------------------------------------------------------------------------------------


def test_two_indexes_from_one_snapshot_go_their_own_ways() -> None:
    index = BlockIndex()
    store(index, "a", (1,), IDS[:2])
    store(index, "b", (11,), IDS[:2])
    store(index, "c", (21,), (7, 7))
    with KVEventManager() as manager:
        snapshot = index.snapshot(manager)
    one, other = BlockIndex(), BlockIndex()
    for each in (one, other):
        each.restore(snapshot)
    store(one, "c", (22,), (8, 8), parent=21)
    store(one, "b", (12,), IDS[2:4], parent=11)
    assert set(other.resident("c")) == {("GPU", None, 21)}
    assert blocks(other.match((7, 7, 8, 8))) == {"c": 1}
