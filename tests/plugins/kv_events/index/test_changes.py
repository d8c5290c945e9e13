"""What becomes of an answer as blocks come and go, in whichever order they are told of."""

from __future__ import annotations

from itertools import permutations

import pytest

from kato_transport_kv_events.index import BlockIndex
from kato_transport_kv_events.stream import Flaw

from .telling import blocks, clear, remove, store

IDS = list(range(200))
"""A hundred blocks."""


def stored(count: int, pod: str = "a", **fields) -> BlockIndex:
    index = BlockIndex(**fields)
    store(index, pod, range(count), IDS[: 2 * count])
    return index


# --- stored -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 65, 100])
def test_every_block_of_an_event_can_be_matched(count) -> None:
    index = stored(count)
    for asked in range(count + 1):
        assert blocks(index.match(IDS[: 2 * asked])) == ({"a": asked} if asked else {})
        assert blocks(index.match([*IDS[: 2 * asked], 999, 999])) == ({"a": asked} if asked else {})


@pytest.mark.parametrize("size", [1, 3, 31, 32, 33])
def test_it_does_not_matter_by_how_many_blocks_a_prefix_grows(size) -> None:
    index = BlockIndex()
    for start in range(0, 100, size):
        end = min(100, start + size)
        store(index, "a", range(start, end), IDS[2 * start : 2 * end], parent=start - 1 if start else None)
    assert blocks(index.match(IDS)) == {"a": 100}
    stats = index.stats()
    assert (stats.blocks, stats.names, stats.resident, stats.stored) == (100, 100, 100, 100)
    assert stats.segments == 4  # of 32 blocks each


def test_prefixes_part_where_their_tokens_do() -> None:
    index = stored(50)
    for fork in (1, 20, 32, 49):
        store(index, "b", (1000 + fork, 2000 + fork), (7, 7, 8, fork), parent=fork - 1)
        assert blocks(index.match([*IDS[: 2 * fork], 7, 7, 8, fork])) == {"a": fork}  # b lacks the first blocks
    store(index, "b", range(50), IDS[:100])
    for fork in (1, 20, 32, 49):
        assert blocks(index.match([*IDS[: 2 * fork], 7, 7, 8, fork])) == {"b": fork + 2, "a": fork}


def test_the_tokens_of_known_blocks_are_not_looked_at() -> None:
    """A hash says what is in a block; reading tokens is the larger half of reading an event."""
    index = stored(3)
    store(index, "b", range(3), ["no", "tokens"])
    assert blocks(index.match(IDS)) == {"a": 3, "b": 3}


def test_blocks_whose_tokens_are_none_are_told_of_as_a_flaw_and_the_known_ones_before_them_are_there() -> None:
    index, told = stored(3), []
    index.report_flaws_to(lambda *flaw: told.append(flaw))
    store(index, "b", (0, 1, 77), ["no", "tokens"])
    store(index, "c", (78,), [(2**40, 1), (1, 2)], rank=1)
    assert told == [("b", 0, Flaw.STORED), ("c", 1, Flaw.STORED)]
    assert blocks(index.match(IDS)) == {"a": 3, "b": 2}
    assert index.resident("c", 1) == {}


def test_an_observer_of_flaws_may_ask_the_index() -> None:
    index = stored(3)
    found = []
    index.report_flaws_to(lambda pod, rank, flaw: found.append((index.resident(pod, rank), blocks(index.match(IDS)))))
    store(index, "a", (5,), ["no", "tokens"])
    assert found == [(index.resident("a"), {"a": 3})]


# --- late ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [*permutations([(0, 20), (20, 40), (40, 70)])])
def test_the_parts_of_a_prefix_may_come_in_any_order(order) -> None:
    index = BlockIndex()
    for start, end in order:
        store(index, "a", range(start, end), IDS[2 * start : 2 * end], parent=start - 1 if start else None)
    assert blocks(index.match(IDS)) == {"a": 70}
    assert index.stats().orphans == 0


def test_a_block_that_an_engine_just_made_may_be_the_one_that_others_waited_for() -> None:
    index = stored(5)
    store(index, "a", (6, 7), IDS[12:16], parent=5)
    store(index, "a", (5,), IDS[10:12], parent=4)
    assert blocks(index.match(IDS)) == {"a": 8}
    assert index.stats().orphans == 0


def test_a_block_that_an_engine_just_made_may_be_one_that_another_engine_still_has() -> None:
    index = stored(5)
    store(index, "b", range(100, 108), IDS[:16])
    remove(index, "b", *range(100, 105))
    store(index, "a", (5,), IDS[10:12], parent=4)
    store(index, "a", (6, 7), IDS[12:16], parent=5)
    assert index.stats().blocks == 8
    assert blocks(index.match(IDS)) == {"a": 8}
    remove(index, "a", 5)
    assert index.resident("b") == {("GPU", None, name): 1 for name in (105, 106, 107)}
    store(index, "b", range(100, 105), IDS[:10])
    assert blocks(index.match(IDS)) == {"b": 8, "a": 5}


def test_a_parent_that_another_pod_tells_of_is_as_good() -> None:
    index = BlockIndex()
    store(index, "late", (5, 6), IDS[10:14], parent=4)
    assert index.stats().orphans == 2
    assert blocks(index.match_hashes((5, 6))) == {"late": 2}
    store(index, "a", range(5), IDS[:10])
    assert blocks(index.match(IDS)) == {"a": 5}
    store(index, "late", range(5), IDS[:10])
    assert blocks(index.match(IDS)) == {"late": 7, "a": 5}


def test_of_blocks_that_waited_only_those_that_are_still_there_are_joined() -> None:
    index = BlockIndex()
    store(index, "a", range(10, 50), IDS[20:100], parent=9)
    store(index, "b", range(10, 50), IDS[20:100], parent=9)
    remove(index, "a", 20, 49)
    remove(index, "b", 10)
    store(index, "a", range(10), IDS[:20])
    store(index, "b", range(10), IDS[:20])
    assert blocks(index.match(IDS)) == {"a": 20, "b": 10}
    store(index, "b", (10,), IDS[20:22], parent=9)
    assert blocks(index.match(IDS)) == {"b": 50, "a": 20}


def test_blocks_that_waited_keep_their_copies() -> None:
    index = BlockIndex()
    for _ in range(3):
        store(index, "a", (5, 6), IDS[10:14], parent=4)
    store(index, "a", range(5), IDS[:10])
    assert index.resident("a") == {("GPU", None, name): 3 if name > 4 else 1 for name in range(7)}
    remove(index, "a", 5, 6, 5, 6)
    assert blocks(index.match(IDS)) == {"a": 7}
    remove(index, "a", 5)
    assert blocks(index.match(IDS)) == {"a": 5}


def test_what_a_window_left_out_is_known_once_a_full_event_tells_of_it() -> None:
    index = BlockIndex()
    store(index, "a", range(3, 8), IDS[:17])  # five of eight blocks, and it does not say which
    assert (blocks(index.match(IDS)), index.stats().blocks) == ({}, 5)
    store(index, "b", range(8), IDS[:16])
    assert blocks(index.match(IDS)) == {"b": 8}
    store(index, "a", range(3), IDS[:6])
    assert blocks(index.match(IDS)) == {"a": 8, "b": 8}


def test_a_block_behind_one_of_unknown_content_waits_for_what_is_in_that() -> None:
    index = BlockIndex()
    store(index, "a", (1, 2), IDS[:7])
    store(index, "a", (3,), IDS[6:8], parent=2)
    assert index.stats().orphans == 1
    store(index, "b", range(3), IDS[:6])
    store(index, "a", (0,), IDS[:2])
    assert blocks(index.match(IDS)) == {"a": 4, "b": 3}


def test_blocks_of_unknown_content_do_not_grow_a_prefix_that_is_known() -> None:
    index = stored(3)
    store(index, "a", (4,), IDS[6:11], parent=2)  # one of two blocks and a half
    store(index, "a", (3, 4), IDS[6:10], parent=2)
    assert blocks(index.match(IDS)) == {"a": 5}
    store(index, "a", (5,), IDS[10:12], parent=4)
    assert blocks(index.match(IDS)) == {"a": 6}


def test_tokens_told_before_the_parent_are_remembered_of_blocks_known_by_hash_alone() -> None:
    index = BlockIndex()
    store(index, "a", (0, 2, 4, 6), IDS[:17])
    store(index, "b", (5, 6), IDS[10:14], parent=4)
    store(index, "b", range(5), IDS[:10])
    assert blocks(index.match(IDS)) == {"a": 1, "b": 7}


# --- removed ------------------------------------------------------------------------------------------------------------


def test_what_is_behind_a_removed_block_can_be_matched_again_once_it_is_stored_again() -> None:
    index = stored(70)
    for middle in (0, 1, 31, 32, 40, 69):
        remove(index, "a", middle)
        assert blocks(index.match(IDS)) == ({"a": middle} if middle else {})
        store(index, "a", (middle,), IDS[2 * middle : 2 * middle + 2], parent=middle - 1 if middle else None)
        assert blocks(index.match(IDS)) == {"a": 70}


@pytest.mark.parametrize(
    "order", [range(100), range(99, -1, -1), [*range(50, 100), *range(50)], [*range(0, 100, 2), *range(1, 100, 2)]]
)
@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_blocks_may_be_removed_in_any_order(order, at_once) -> None:
    index, left = stored(100), set(range(100))
    for start in range(0, 100, at_once):
        gone = order[start : start + at_once]
        remove(index, "a", *gone)
        left.difference_update(gone)
        assert {name for _, _, name in index.resident("a")} == left
    stats = index.stats()
    assert (stats.blocks, stats.segments, stats.removed, stats.unknown_removals) == (0, 0, 100, 0)


def test_a_removal_takes_nothing_from_anybody_else() -> None:
    index = stored(10)
    for pod, rank, medium in (("b", 0, "GPU"), ("a", 1, "GPU"), ("a", 0, "CPU")):
        store(index, pod, range(10), IDS[:20], rank=rank, medium=medium)
    remove(index, "a", *range(10))
    assert {(pod.pod, pod.rank, *pod.by_medium.items()) for pod in index.match(IDS).pods} == {
        ("a", 0, ("CPU", 10)),
        ("a", 1, ("GPU", 10)),
        ("b", 0, ("GPU", 10)),
    }
    clear(index, "a")
    assert [(pod.pod, pod.rank) for pod in index.match(IDS).pods] == [("a", 1), ("b", 0)]


def test_removing_what_is_not_there_is_counted_and_changes_nothing() -> None:
    index = stored(3)
    remove(index, "a", 2, 7, 8)
    remove(index, "a", 0, medium="CPU")
    remove(index, "b", 0)
    assert blocks(index.match(IDS)) == {"a": 2}
    assert (index.stats().removed, index.stats().unknown_removals) == (1, 4)


def test_a_block_is_there_until_it_was_removed_as_often_as_it_was_stored() -> None:
    index = stored(5)
    store(index, "a", (1, 2, 3), IDS[2:8], parent=0)
    store(index, "a", (2,), IDS[4:6], parent=1)
    assert [index.resident("a")["GPU", None, name] for name in range(5)] == [1, 2, 3, 2, 1]
    for left in (3, 2, 1):
        assert index.resident("a")["GPU", None, 2] == left
        assert blocks(index.match(IDS)) == {"a": 5}
        remove(index, "a", 2)
    remove(index, "a", 1, 0)
    assert index.resident("a") == {("GPU", None, 1): 1, ("GPU", None, 3): 2, ("GPU", None, 4): 1}
    assert index.stats().resident == 3
    store(index, "a", (0,), IDS[:2])
    assert blocks(index.match(IDS)) == {"a": 2}
    store(index, "a", (2,), IDS[4:6], parent=1)
    remove(index, "a", 2)
    assert blocks(index.match(IDS)) == {"a": 2}


def test_copies_are_counted_for_each_pod_and_medium() -> None:
    index = stored(2)
    for pod, medium in (("a", "GPU"), ("b", "GPU"), ("a", "CPU")):
        store(index, pod, range(2), IDS[:4], medium=medium)
    remove(index, "b", 0, 1)
    remove(index, "a", 0, 1, medium="CPU")
    assert [(pod.pod, pod.by_medium) for pod in index.match(IDS).pods] == [("a", {"GPU": 2})]
    assert set(index.resident("a").values()) == {2}


def test_counted_as_a_set_a_block_is_gone_with_its_first_removal() -> None:
    index = stored(3, counting="set")
    store(index, "a", (1, 2), IDS[2:6], parent=0)
    assert set(index.resident("a").values()) == {1}
    remove(index, "a", 1)
    assert blocks(index.match(IDS)) == {"a": 1}


def test_copies_are_gone_with_everything_else() -> None:
    index = stored(2)
    store(index, "a", range(2), IDS[:4])
    clear(index, "a")
    store(index, "a", range(2), IDS[:4])
    remove(index, "a", 0, 1)
    assert index.match(IDS).pods == ()


def test_one_hash_with_two_adapters_goes_from_both_as_a_removal_does_not_say_of_which() -> None:
    """Whatever is missing then, nothing is there that is gone."""
    index = BlockIndex()
    store(index, "a", (1,), IDS[:2], lora_name="x")
    for _ in range(2):
        store(index, "a", (1,), IDS[:2], lora_name="y")
    remove(index, "a", 1)
    assert index.match(IDS, lora_name="x").pods == ()
    assert blocks(index.match(IDS, lora_name="y")) == {"a": 1}  # of two copies
    remove(index, "a", 1)
    assert index.resident("a") == {}


# --- hashes of the same blocks ------------------------------------------------------------------------------------------


def test_two_hashes_of_one_content_are_two_blocks() -> None:
    """As of images before vLLM 0.17, whose events do not say what else than tokens was hashed."""
    index = BlockIndex()
    store(index, "a", (1,), IDS[:2])
    store(index, "a", (2,), IDS[:2])
    store(index, "a", (2,), IDS[:2])
    assert index.resident("a") == {("GPU", None, 1): 1, ("GPU", None, 2): 2}
    remove(index, "a", 1)
    remove(index, "a", 1)
    assert index.resident("a") == {("GPU", None, 2): 2}
    assert blocks(index.match(IDS)) == {"a": 1}
    remove(index, "a", 2, 2)
    assert (index.match(IDS).pods, index.resident("a")) == ((), {})
    store(index, "a", (2,), IDS[:2])
    remove(index, "a", 2)
    assert (index.match(IDS).pods, index.stats().names) == ((), 0)


def test_a_hash_that_took_the_place_of_another_is_counted_by_itself() -> None:
    index = stored(2)
    remove(index, "a", 1)
    for _ in range(2):
        store(index, "a", (101,), IDS[2:4], parent=0)
    assert index.resident("a") == {("GPU", None, 0): 1, ("GPU", None, 101): 2}
    remove(index, "a", 1)
    remove(index, "a", 101)
    assert index.resident("a") == {("GPU", None, 0): 1, ("GPU", None, 101): 1}
    remove(index, "a", 101)
    assert blocks(index.match(IDS)) == {"a": 1}


def test_a_prefix_under_two_hashes_grows_under_either() -> None:
    index = BlockIndex()
    store(index, "a", (0, 1), IDS[:4])
    store(index, "a", (100, 101), IDS[:4])
    store(index, "a", (2,), IDS[4:6], parent=1)
    store(index, "a", (102, 103), IDS[4:8], parent=101)
    remove(index, "a", 0, 1)
    assert blocks(index.match(IDS)) == {"a": 4}
    assert set(index.resident("a")) == {("GPU", None, name) for name in (2, 100, 101, 102, 103)}
    remove(index, "a", 103, 102, 101, 100, 2)
    assert (index.stats().names, index.stats().resident) == (0, 0)


def test_engines_of_other_seeds_come_and_go_without_each_other() -> None:
    index = stored(40)
    store(index, "b", range(100, 150), IDS[:100])
    store(index, "c", range(200, 245), IDS[:90])
    store(index, "c2", range(200, 230), IDS[:60])
    remove(index, "b", 110)
    clear(index, "a")
    assert blocks(index.match(IDS)) == {"c": 45, "c2": 30, "b": 10}
    remove(index, "c", *range(200, 245))
    store(index, "b", (110,), IDS[20:22], parent=109)
    assert blocks(index.match(IDS)) == {"b": 50, "c2": 30}
    assert set(index.resident("c2")) == {("GPU", None, name) for name in range(200, 230)}


# --- of unknown size ----------------------------------------------------------------------------------------------------


def placed(index: BlockIndex, pod: str, *hashes: int, **fields) -> None:
    """Told by an offload connector, which knows hashes only."""
    store(index, pod, hashes, medium="CPU", **{"block_size": 0, **fields})


@pytest.mark.parametrize("size", [0, -1, 2, 48])
def test_blocks_without_tokens_are_where_their_hashes_say(size) -> None:
    """Up to vLLM 0.19 they come with the size of the other medium."""
    index = stored(6)
    placed(index, "a", 2, 3, 4, block_size=size)
    remove(index, "a", 2, 3)
    assert [(pod.blocks, pod.by_medium) for pod in index.match(IDS).pods] == [(6, {"GPU": 2})]
    assert blocks(index.match_hashes(range(6))) == {"a": 6}
    remove(index, "a", 3, medium="CPU")
    assert blocks(index.match(IDS)) == {"a": 3}


def test_blocks_without_tokens_may_come_before_their_tokens() -> None:
    index = BlockIndex()
    placed(index, "a", 2, 3, 4)
    placed(index, "a", 3)
    assert index.match(IDS).pods == ()
    store(index, "a", range(6), IDS[:12])
    remove(index, "a", 2, 3)
    assert blocks(index.match(IDS)) == {"a": 6}
    remove(index, "a", 3, medium="CPU")
    assert blocks(index.match(IDS)) == {"a": 6}
    remove(index, "a", 3, medium="CPU")
    assert blocks(index.match(IDS)) == {"a": 3}


def test_blocks_without_tokens_of_others_are_found_where_one_engine_says_they_are() -> None:
    index = BlockIndex()
    for pod in "ab":
        placed(index, pod, 0, 1)
    store(index, "a", (0, 1), IDS[:4])
    assert blocks(index.match(IDS)) == {"a": 2, "b": 2}
    remove(index, "b", 1, 0, medium="CPU")
    assert (blocks(index.match(IDS)), index.resident("b")) == ({"a": 2}, {})


def test_a_block_that_waited_without_tokens_is_not_counted_in_two_places_once_somebody_tells_them() -> None:
    index = stored(1)
    placed(index, "a", 1)
    store(index, "b", (0, 1), IDS[:4])
    placed(index, "a", 1)
    assert index.resident("a") == {("GPU", None, 0): 1, ("CPU", None, 1): 2}
    assert index.stats().resident == 4
    assert blocks(index.match(IDS)) == {"a": 2, "b": 2}
    remove(index, "a", 1, medium="CPU")
    assert blocks(index.match(IDS)) == {"a": 2, "b": 2}


@pytest.mark.parametrize("hashes", [*permutations((0, 5, 77))])
def test_each_of_several_blocks_without_tokens_is_where_its_own_hash_says(hashes) -> None:
    """An event of an offload connector may be about several prefixes, and some that nobody knows of."""
    index = stored(3)
    store(index, "a", (5,), IDS[:2], lora_name="x")
    placed(index, "a", *hashes)
    remove(index, "a", 0, 5)
    assert [pod.by_medium for pod in index.match(IDS[:2]).pods] == [{"CPU": 1}]
    assert [pod.by_medium for pod in index.match(IDS[:2], lora_name="x").pods] == [{"CPU": 1}]
    assert len(index.resident("a")) == 5
    remove(index, "a", *hashes, medium="CPU")
    assert len(index.resident("a")) == 2


def test_what_is_not_memory_of_the_pod_is_counted_and_left_out() -> None:
    index = stored(3)
    store(index, "a", (3, 4), IDS[6:10], parent=2, locality="REMOTE", medium="STORAGE")
    remove(index, "a", 0, locality="REMOTE")
    assert blocks(index.match(IDS)) == {"a": 3}
    assert (index.stats().remote, index.stats().holders) == (3, 1)
    store(index, "a", (3, 4), IDS[6:10], parent=2, locality="LOCAL", medium="STORAGE")
    assert blocks(index.match(IDS)) == {"a": 5}


def test_an_event_without_hashes_says_nothing() -> None:
    index = BlockIndex()
    store(index, "a", (), IDS[:4], group_idx=0, kv_cache_spec_kind="sliding_window")
    remove(index, "a")
    assert (index.stats().holders, index.resident("a")) == (0, {})


# --- odd ----------------------------------------------------------------------------------------------------------------


def test_a_block_that_is_its_own_parent_waits_for_itself() -> None:
    index = BlockIndex()
    store(index, "a", (1,), IDS[:2], parent=1)
    store(index, "b", (2,), IDS[:2], parent=3)
    store(index, "b", (3,), IDS[:2], parent=2)
    assert (index.match(IDS).pods, index.stats().orphans) == ((), 3)
    store(index, "c", (1,), IDS[:2])
    assert blocks(index.match(IDS)) == {"a": 1, "c": 1}
    remove(index, "b", 2, 3)
    assert index.stats().orphans == 0


@pytest.mark.parametrize("size", [2**31, 2**63, 10**30])
def test_a_block_size_that_cannot_be_is_a_size_of_which_nothing_is_known(size) -> None:
    index = stored(2)
    store(index, "a", (9,), IDS[:2], block_size=size)
    assert blocks(index.match(IDS)) == {"a": 2}
    assert len(index.resident("a")) == 3


@pytest.mark.parametrize("keys", [True, False])
def test_an_event_may_tell_of_new_blocks_before_known_ones(keys) -> None:
    """The known ones are there once more, and nothing is left of having taken them for new."""
    index = stored(70, keys=keys)
    remove(index, "a", *range(32))
    store(index, "a", range(70), IDS[:140])
    assert index.resident("a") == {("GPU", None, name): 1 if name < 32 else 2 for name in range(70)}
    assert (index.stats().blocks, index.stats().names, index.stats().segments) == (70, 70, 3)
    assert [pod.blocks for pod in index.match_hashes(range(70)).pods] == [70]
    for _ in range(2):
        remove(index, "a", *range(70))
    assert (index.stats().blocks, index.stats().names, index.stats().segments) == (0, 0, 0)


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize("again", [1, 31, 32, 69])
def test_a_hash_may_be_told_of_twice_in_one_event_of_many(again, keys) -> None:
    """Which of its blocks is meant then is not known; how often it is there is."""
    index = BlockIndex(keys=keys)
    names = [*range(again), 0, *range(again + 1, 70)]
    store(index, "a", names, IDS[:140])
    assert index.resident("a") == {("GPU", None, name): names.count(name) for name in names}
    assert (index.stats().blocks, index.stats().names, index.stats().resident) == (69, 69, 69)
    for _ in range(2):
        remove(index, "a", *dict.fromkeys(names))
    assert (index.stats().blocks, index.stats().names, index.stats().segments) == (0, 0, 0)


def test_a_hash_may_be_told_of_twice_in_one_event() -> None:
    index = BlockIndex()
    store(index, "a", (0, 1, 0, 1, 0), [*IDS[:4], *IDS[:4], *IDS[:2]])
    assert index.resident("a") == {("GPU", None, 0): 3, ("GPU", None, 1): 2}
    remove(index, "a", 1, 0, 0)
    assert blocks(index.match(IDS)) == {"a": 2}
    remove(index, "a", 0, 1)
    assert index.stats().blocks == 0
