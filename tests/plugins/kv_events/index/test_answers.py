"""What an answer says about each pod, and in which order."""

from __future__ import annotations

import pytest

from kato_transport import InvalidSetting
from kato_transport_kv_events import State
from kato_transport_kv_events.index import BlockIndex

from .telling import blocks, clear, remove, store

IDS = list(range(20))
"""Ten blocks."""


def holding(index: BlockIndex, pod: str, *held: int, **fields) -> None:
    """A pod with some of the blocks, whose hashes are their numbers."""
    for number in held:
        parent = number - 1 if number else None
        store(index, pod, (number,), IDS[2 * number : 2 * number + 2], parent=parent, **fields)


def test_media_hold_a_prefix_together() -> None:
    index = BlockIndex()
    holding(index, "a", *range(5))
    holding(index, "a", *range(3, 10), medium="CPU")
    (pod,) = index.match(IDS).pods
    assert (pod.blocks, pod.by_medium) == (10, {"GPU": 5})
    assert (index.match(IDS).best, index.match(IDS).blocks) == (10, 10)


def test_each_medium_is_told_of_by_itself_too() -> None:
    index = BlockIndex()
    holding(index, "a", *range(7))
    holding(index, "a", *range(3), medium="CPU")
    holding(index, "a", 0, 6, 7, 8, medium="DISK")
    (pod,) = index.match(IDS).pods
    assert (pod.blocks, pod.by_medium) == (9, {"CPU": 3, "DISK": 1, "GPU": 7})


def test_media_need_not_lie_at_the_beginning_to_fill_gaps() -> None:
    index = BlockIndex()
    holding(index, "a", *range(0, 10, 2))
    holding(index, "a", *range(1, 10, 2), medium="CPU")
    holding(index, "b", *range(10), medium="CPU")
    match = index.match(IDS)
    assert blocks(match) == {"a": 10, "b": 10}
    assert match.pods[0].by_medium == {"GPU": 1}


def test_two_ranks_of_a_pod_do_not_hold_a_prefix_together() -> None:
    index = BlockIndex()
    holding(index, "a", *range(5), rank=0)
    holding(index, "a", *range(5, 10), rank=1)
    assert [(pod.pod, pod.rank, pod.blocks) for pod in index.match(IDS).pods] == [("a", 0, 5)]


def test_a_prefix_is_there_as_far_as_all_groups_of_full_attention_have_it() -> None:
    index = BlockIndex()
    for group, count in ((0, 8), (1, 5), (2, 6)):
        holding(index, "a", *range(count), group_idx=group, kv_cache_spec_kind="full_attention")
    (pod,) = index.match(IDS).pods
    assert (pod.blocks, pod.by_medium) == (5, {"GPU": 5})
    remove(index, "a", 0, group_idx=2)
    assert index.match(IDS).pods == ()


@pytest.mark.parametrize("kind", ["sliding_window", "mamba", "chunked_local_attention", None])
def test_a_group_that_keeps_the_last_blocks_only_is_not_asked_for_the_first(kind) -> None:
    """Of vLLM 0.20 and 0.21, which do not say the kind, it is known by hashes that are fewer than blocks."""
    index = BlockIndex()
    holding(index, "a", *range(8), group_idx=1, kv_cache_spec_kind=kind and "full_attention")
    store(index, "a", (8, 9), IDS, group_idx=0, kv_cache_spec_kind=kind)
    (pod,) = index.match(IDS).pods
    assert (pod.blocks, pod.by_medium) == (8, {"GPU": 8})
    assert len(index.resident("a")) == 10


@pytest.mark.parametrize("kind", ["full_attention", "mla_attention", "sink_full_attention"])
def test_attention_is_full_under_several_names(kind) -> None:
    index = BlockIndex()
    holding(index, "a", *range(8), group_idx=0, kv_cache_spec_kind=kind)
    assert blocks(index.match(IDS)) == {"a": 8}


def test_a_medium_whose_group_is_not_said_is_of_every_group() -> None:
    """As of offload connectors of vLLM; that it is empty says nothing about what is on the GPU."""
    index = BlockIndex()
    holding(index, "a", *range(6), group_idx=0, kv_cache_spec_kind="full_attention")
    store(index, "a", (0, 1, 2), medium="CPU", block_size=0)
    assert [(pod.blocks, pod.by_medium) for pod in index.match(IDS).pods] == [(6, {"CPU": 3, "GPU": 6})]
    remove(index, "a", 1, 2, group_idx=0)
    assert [(pod.blocks, pod.by_medium) for pod in index.match(IDS).pods] == [(6, {"CPU": 3, "GPU": 1})]
    holding(index, "a", 1, 2, group_idx=0, kv_cache_spec_kind="full_attention")
    remove(index, "a", 0, 1, 2, medium="CPU")
    assert [(pod.blocks, pod.by_medium) for pod in index.match(IDS).pods] == [(6, {"GPU": 6})]


def test_first_comes_who_has_most_and_of_equals_who_can_be_relied_upon_most() -> None:
    index = BlockIndex()
    states = [State.CONNECTING, State.STALE, State.DEGRADED, State.SYNCING, State.PARTIAL, State.EXACT]
    for number, state in enumerate(states):
        holding(index, f"pod{number}", *range(4))
        index.source_changed(f"pod{number}", 0, "", state)
    holding(index, "most", *range(5))
    index.source_changed("most", 0, "", State.STALE)
    assert [pod.state for pod in index.match(IDS).pods] == [State.STALE, *reversed(states)]
    assert index.match(IDS).pods[0].pod == "most"


def test_of_equals_in_every_way_the_first_by_name_comes_first() -> None:
    index = BlockIndex()
    for pod, rank in (("b", 1), ("c", 0), ("b", 0), ("a", 2)):
        holding(index, pod, 0, rank=rank)
    assert [(pod.pod, pod.rank) for pod in index.match(IDS).pods] == [("a", 2), ("b", 0), ("b", 1), ("c", 0)]


def test_every_state_has_its_place_in_the_order() -> None:
    for state in State:
        index = BlockIndex()
        holding(index, "a", 0)
        index.source_changed("a", 0, "", state)
        assert [pod.state for pod in index.match(IDS).pods] == [state]


def test_a_block_may_be_in_as_many_pods_as_there_are() -> None:
    index = BlockIndex()
    for number in range(200):
        holding(index, f"pod{number:03}", *range(1 + number % 10))
    counts = blocks(index.match(IDS))
    assert counts == {f"pod{number:03}": 1 + number % 10 for number in range(200)}
    assert index.stats().blocks == 10


def test_a_pod_is_in_an_answer_once_with_the_most_that_it_has() -> None:
    """Though it has blocks of two sizes, and some for which it looked ahead."""
    index = BlockIndex()
    holding(index, "a", *range(4))
    store(index, "a", (101,), IDS[:6], block_size=6)
    store(index, "a", (102, 103), IDS[:4], lookahead_token_ids=((2,), (4,)))
    assert [(pod.pod, pod.blocks, pod.block_size) for pod in index.match(IDS).pods] == [("a", 4, 2)]


def test_a_generation_counts_how_often_what_a_source_had_was_given_up() -> None:
    index = BlockIndex()
    for generation in range(3):
        holding(index, "a", 0)
        assert [pod.generation for pod in index.match(IDS).pods] == [generation]
        index.forget("a", 0)
    assert index.match(IDS).pods == ()


def test_a_source_that_comes_back_begins_with_nothing() -> None:
    index = BlockIndex()
    holding(index, "a", 0, 1)
    index.source_removed("a", 0)
    index.source_removed("a", 0)
    assert (index.match(IDS).pods, index.resident("a"), index.stats().sources) == ((), {}, 0)
    holding(index, "a", 0)
    assert blocks(index.match(IDS)) == {"a": 1}


def test_an_answer_does_not_change_any_more() -> None:
    """But for the state, it is of the moment of the question, whenever it is looked at."""
    index = BlockIndex()
    holding(index, "a", *range(3))
    holding(index, "b", *range(2))
    matches = [index.match(IDS) for _ in range(4)]
    clear(index, "a")
    index.source_removed("b", 0)
    assert blocks(matches[0]) == {"a": 3, "b": 2}
    holding(index, "a", 0, group_idx=1)
    holding(index, "a", *range(9), medium="CPU")
    assert blocks(matches[1]) == {"a": 3, "b": 2}
    for number in range(40):
        holding(index, f"other{number}", *range(4))
    assert blocks(matches[2]) == {"a": 3, "b": 2}
    assert [pod.by_medium for pod in matches[3].pods] == [{"GPU": 3}, {"GPU": 2}]


@pytest.mark.parametrize(
    "hashes",
    [tuple(range(-3, 7)), tuple(bytes([number]) * 32 for number in range(10)), tuple(bytes([n]) * 16 for n in range(10))],
)
def test_hashes_may_be_numbers_or_bytes(hashes) -> None:
    index = BlockIndex()
    store(index, "a", hashes, IDS)
    remove(index, "a", hashes[7])
    assert blocks(index.match(IDS)) == blocks(index.match_hashes(hashes)) == {"a": 7}
    assert blocks(index.match_hashes(hashes[:3])) == {"a": 3}
    assert blocks(index.match_hashes(hashes[8:])) == {"a": 2}  # wherever they lie
    assert blocks(index.match_hashes([*hashes[:2], 999])) == {"a": 2}
    assert index.match_hashes([999]).pods == index.match_hashes([]).pods == ()
    assert index.resident("a") == {("GPU", None, name): 1 for name in hashes if name != hashes[7]}


@pytest.mark.parametrize("hashes", [5, None, [[1]], [{}]])
def test_what_are_no_hashes_is_refused(hashes) -> None:
    index = BlockIndex()
    store(index, "a", (1,), IDS[:2])
    with pytest.raises(InvalidSetting, match="expected integers or bytes"):
        index.match_hashes(hashes)


def test_no_model_is_the_model_of_sources_that_name_none() -> None:
    index = BlockIndex()
    store(index, "a", (1,), IDS[:2])
    assert blocks(index.match(IDS, model=None)) == blocks(index.match_hashes([1], model=None)) == {"a": 1}


def test_engines_of_other_seeds_are_found_by_the_hashes_of_one_as_well() -> None:
    """Tokens say what is in a block, so their blocks are the same ones."""
    index = BlockIndex()
    store(index, "a", range(10), IDS)
    store(index, "b", range(100, 108), IDS[:16])
    store(index, "c", range(200, 206), IDS[:12])
    for first in (0, 100, 200):
        names = range(first, first + 6)
        assert blocks(index.match_hashes(list(names))) == {"a": 6, "b": 6, "c": 6}
    assert set(index.resident("b")) == {("GPU", None, name) for name in range(100, 108)}
    assert index.stats().blocks == 10


@pytest.mark.parametrize("ids", ["ab", b"abcd", bytearray(8), [1.5], None, 7, [[1, 2]], [(1, 2)], [-1], [2**32]])
def test_what_is_no_tokens_is_refused(ids) -> None:
    with pytest.raises(InvalidSetting, match="token_ids"):
        BlockIndex().match(ids)


@pytest.mark.parametrize(
    "options",
    [
        {"cache_salt": "\ud800"},
        {"extra_keys": [(range,)]},
        {"extra_keys": [("\ud800",)]},
        {"extra_keys": 5},
        {"lora_name": ["x"]},
    ],
    ids=ascii,
)
def test_what_cannot_tell_prefixes_apart_is_refused(options) -> None:
    index = BlockIndex()
    holding(index, "a", 0)
    with pytest.raises(InvalidSetting):
        index.match(IDS, **options)
