"""What keeps prefixes apart, and what is one prefix however an engine says it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kato_transport_kv_events.index import BlockIndex, Request

from .telling import blocks, store

IDS = list(range(1, 9))
"""Four blocks."""


def test_the_prefix_of_one_model_is_not_that_of_another() -> None:
    index = BlockIndex()
    store(index, "a", (1, 2, 3, 4), IDS, model="llama")
    store(index, "b", (1, 2), IDS[:4], model="qwen")
    assert blocks(index.match(IDS, model="llama")) == {"a": 4}
    assert blocks(index.match(IDS, model="qwen")) == {"b": 2}
    assert blocks(index.match(IDS)) == blocks(index.match(IDS, model="other")) == {}
    assert blocks(index.match_hashes((1, 2, 3), model="llama")) == {"a": 3}


def test_adapters_are_told_apart_by_name_and_where_there_is_none_by_id() -> None:
    index = BlockIndex()
    store(index, "plain", (1, 2, 3, 4), IDS)
    store(index, "named", (11, 12), IDS[:4], lora_name="adapter", lora_id=3)
    store(index, "old", (21, 22, 23), IDS[:6], lora_id=3)
    assert blocks(index.match(IDS)) == {"plain": 4}
    assert blocks(index.match(IDS, lora_name="adapter")) == {"named": 2}
    assert blocks(index.match(IDS, lora_name=3)) == {"old": 3}
    assert blocks(index.match(IDS, lora_name="another")) == {}


def test_one_hash_may_stand_for_something_else_with_another_adapter() -> None:
    """As with SGLang before 0.5.23."""
    index = BlockIndex()
    store(index, "a", (1, 2), IDS[:4], lora_name="x")
    store(index, "a", (1, 2), IDS[4:], lora_name="y")
    assert blocks(index.match(IDS[4:], lora_name="y")) == blocks(index.match(IDS[:4], lora_name="x")) == {"a": 2}
    assert blocks(index.match_hashes((1, 2), lora_name="x")) == {"a": 2}
    assert blocks(index.match(IDS[:4], lora_name="y")) == {}


def salted_as_vllm(index: BlockIndex, pod: str, salt: str) -> None:
    store(index, pod, (1, 2), IDS[:4], extra_keys=((salt,), None))
    store(index, pod, (3, 4), IDS[4:], parent=2, extra_keys=(None, None))


def salted_as_sglang(index: BlockIndex, pod: str, salt: str) -> None:
    store(index, pod, (-1, -2), IDS[:4], cache_salt=salt)
    store(index, pod, (-3, -4), IDS[4:], parent=-2, cache_salt=salt)


@pytest.mark.parametrize("engine", [salted_as_vllm, salted_as_sglang])
def test_a_salt_keeps_tenants_apart(engine) -> None:
    index = BlockIndex()
    engine(index, "a", "tenant")
    assert blocks(index.match(IDS, cache_salt="tenant")) == {"a": 4}
    assert blocks(index.match(IDS, cache_salt="other")) == blocks(index.match(IDS)) == {}


def test_engines_that_say_a_salt_in_different_ways_share_what_it_salts() -> None:
    index = BlockIndex()
    salted_as_vllm(index, "v", "tenant")
    salted_as_sglang(index, "s", "tenant")
    assert blocks(index.match(IDS, cache_salt="tenant")) == {"s": 4, "v": 4}
    assert index.stats().blocks == 4


def test_an_empty_salt_is_none_as_engines_take_it() -> None:
    index = BlockIndex()
    store(index, "a", (1, 2), IDS[:4])
    store(index, "b", (-1, -2), IDS[:4], cache_salt="")
    assert blocks(index.match(IDS)) == blocks(index.match(IDS, cache_salt="")) == {"a": 2, "b": 2}


@pytest.mark.parametrize("lora", [{"lora_name": ""}, {"lora_id": 0}])
def test_no_adapter_may_be_said_in_several_ways(lora) -> None:
    index = BlockIndex()
    store(index, "a", (1, 2), IDS[:4], **lora)
    assert blocks(index.match(IDS)) == blocks(index.match(IDS, lora_name="")) == {"a": 2}


def test_extra_keys_keep_images_apart_from_the_block_on_where_they_lie() -> None:
    index = BlockIndex()
    store(index, "a", (1, 2, 3), IDS[:6], extra_keys=(None, (("image", 1),), None))
    store(index, "b", (1, 12, 13, 14), IDS, parent=None, extra_keys=(None, (("other", 1),), None, None))
    assert blocks(index.match(IDS, extra_keys=[None, (("image", 1),)])) == {"a": 3, "b": 1}
    assert blocks(index.match(IDS, extra_keys=[None, (("other", 1),), None, None])) == {"b": 4, "a": 1}
    assert blocks(index.match(IDS)) == {"a": 1, "b": 1}


def test_the_adapter_and_the_salt_need_not_be_said_again_as_extra_keys() -> None:
    """Engines put them first and last among these, a gateway knows them by name."""
    index = BlockIndex()
    store(index, "a", (1, 2), IDS[:4], lora_name="x", extra_keys=(("x", ("image", 0), "tenant"), ("x",)))
    assert blocks(index.match(IDS, lora_name="x", cache_salt="tenant", extra_keys=[(("image", 0),)])) == {"a": 2}


def test_a_long_request_keeps_its_extra_keys_to_the_end() -> None:
    """Its keys are made in parts."""
    ids, extra_keys = list(range(400)), [(number,) for number in range(200)]
    index = BlockIndex()
    store(index, "a", range(200), ids, extra_keys=tuple(extra_keys))
    assert blocks(index.match(ids, extra_keys=extra_keys)) == {"a": 200}
    assert blocks(index.match(ids, extra_keys=[*extra_keys[:150], *extra_keys[:50]])) == {"a": 150}


def test_what_an_engine_looked_ahead_at_must_follow_in_the_request() -> None:
    index = BlockIndex()
    store(index, "a", (1, 2), IDS[:4], lookahead_token_ids=((3,), (5,)))
    store(index, "a", (3,), IDS[4:6], parent=2, lookahead_token_ids=((7,),))
    assert blocks(index.match(IDS)) == {"a": 3}
    assert blocks(index.match(IDS[:6])) == {"a": 2}  # nobody knows what comes behind the third
    assert blocks(index.match([*IDS[:4], 99, 99])) == {"a": 1}


def test_bigrams_are_matched_by_plain_tokens() -> None:
    pairs = list(pairwise(IDS))
    index = BlockIndex()
    store(index, "a", (1, 2), pairs[:4])
    store(index, "a", (3,), pairs[4:6], parent=2)
    assert blocks(index.match(IDS)) == {"a": 3}
    assert blocks(index.match([*IDS[:4], 99, 99])) == {"a": 1}


def test_looking_ahead_by_a_field_and_by_bigrams_is_the_same() -> None:
    index = BlockIndex()
    store(index, "a", (1, 2), IDS[:4], lookahead_token_ids=((3,), (5,)))
    store(index, "b", (-1, -2), list(pairwise(IDS[:5])))
    assert index.stats().blocks == 2
    assert blocks(index.match(IDS)) == {"a": 2, "b": 2}


@pytest.mark.parametrize(
    "fields",
    [
        {"token_ids": IDS[:3]},
        {"token_ids": [(1, 2), (3, 4), (4, 5), (5, 6)]},
        {"token_ids": IDS[:4], "extra_keys": ((1,),)},
        {"token_ids": IDS[:4], "lookahead_token_ids": ((3,), (5, 6))},
    ],
)
def test_where_it_is_not_said_which_tokens_are_in_which_block_hashes_alone_count(fields) -> None:
    index = BlockIndex()
    store(index, "a", (1, 2), fields.pop("token_ids"), **fields)
    assert blocks(index.match(IDS)) == {}
    assert blocks(index.match_hashes((1, 2))) == {"a": 2}


def test_engines_of_different_block_sizes_are_compared_by_tokens() -> None:
    ids = list(range(96))
    index = BlockIndex()
    store(index, "small", range(100, 164), ids[:64], block_size=1)
    store(index, "middle", range(5), ids[:80], block_size=16)
    store(index, "large", (7, 8), ids[:64], block_size=32)
    match = index.match(ids)
    assert [(pod.pod, pod.blocks, pod.block_size) for pod in match.pods] == [
        ("middle", 5, 16),
        ("large", 2, 32),
        ("small", 64, 1),
    ]
    assert (match.block_size, match.blocks) == (16, 6)


def test_one_hash_in_blocks_of_two_sizes_is_two_blocks() -> None:
    index = BlockIndex()
    store(index, "a", (1,), IDS[:2], block_size=2)
    store(index, "b", (1,), IDS[:4], block_size=4)
    assert {(pod.pod, pod.blocks, pod.block_size) for pod in index.match(IDS).pods} == {("a", 1, 2), ("b", 1, 4)}
    assert {(pod.pod, pod.block_size) for pod in index.match_hashes((1,)).pods} == {("a", 2), ("b", 4)}


def test_only_whole_blocks_of_a_request_count() -> None:
    index = BlockIndex()
    store(index, "a", (1, 2), IDS[:4])
    assert blocks(index.match(IDS[:3])) == {"a": 1}
    assert blocks(index.match(IDS[:1])) == blocks(index.match([])) == {}
    assert index.match(IDS[:3]).blocks == 1


def test_a_request_may_be_asked_with_again_and_of_another_index() -> None:
    request = Request(IDS, lora_name="x", cache_salt="tenant", extra_keys=[None, ("image",)])
    for count in (4, 3):
        index = BlockIndex()
        extra_keys = (("tenant",), ("image",), None, None)[:count]
        store(index, "a", range(count), IDS[: 2 * count], lora_name="x", extra_keys=extra_keys)
        assert blocks(index.match(request)) == blocks(index.match(request)) == {"a": count}
