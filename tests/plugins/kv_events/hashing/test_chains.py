"""What holds of every chain of hashes, whatever the tokens."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_transport.tokens import TokenIds
from kato_transport_kv_events import sglang_block_hashes, vllm_block_hashes, vllm_root

tokens = st.lists(st.integers(0, 2**32 - 1), max_size=40)
sizes = st.integers(1, 8)
algorithms = st.sampled_from(["sha256", "sha256_cbor"])


def shared(some, others):
    """How many leading items are the same."""
    return next(
        (at for at, (one, other) in enumerate(zip(some, others, strict=False)) if one != other), min(map(len, (some, others)))
    )


@given(tokens, tokens, tokens, sizes, algorithms)
def test_hashes_are_the_same_as_far_as_whole_blocks_are(start, one, other, size, algorithm):
    """And never again after that."""
    one, other = start + one, start + other
    blocks = shared(one, other) // size
    for hashed in (
        lambda ids: vllm_block_hashes(ids, size, algorithm=algorithm),
        lambda ids: sglang_block_hashes(ids, size),
    ):
        ours, theirs = hashed(one), hashed(other)
        assert (len(ours), len(theirs)) == (len(one) // size, len(other) // size)
        assert shared(ours, theirs) == blocks
        assert not set(ours[blocks:]) & set(theirs[blocks:])


@given(tokens, sizes, algorithms)
def test_integers_are_the_ends_of_digests(ids, size, algorithm):
    """Big endian and unsigned."""
    digests = vllm_block_hashes(ids, size, algorithm=algorithm, form="bytes")
    assert {len(digest) for digest in digests} <= {32}
    assert vllm_block_hashes(ids, size, algorithm=algorithm) == [int.from_bytes(digest[24:], "big") for digest in digests]


@given(tokens, sizes, algorithms)
def test_name_spaces_share_no_hash(ids, size, algorithm):
    """Salts, LoRAs, extra keys, seeds and algorithms keep requests of the same tokens apart."""
    image = [("mm", "image-a", 0)]
    asked = [
        {},
        {"cache_salt": "tenant-1"},
        {"cache_salt": "tenant-2"},
        {"lora_name": "one", "lora_path": "/one"},
        {"lora_name": "one", "lora_path": "/two"},
        {"lora_name": "one", "lora_path": "/one", "cache_salt": "tenant-1"},
        {"extra_keys": [image if at == 0 else None for at in range(len(ids) // size)]},
        {"root": vllm_root("0", algorithm)},
        {"cache_salt": "tenant-1", "tagged_keys": False},
        {"lora_name": "one", "tagged_keys": False},
    ]
    hashes = [each for more in asked for each in vllm_block_hashes(ids, size, algorithm=algorithm, **more)]
    assert len(set(hashes)) == len(hashes) == len(asked) * (len(ids) // size)


@given(tokens, tokens, sizes, algorithms)
def test_a_chain_goes_on_from_a_digest(start, more, size, algorithm):
    """So that a growing request need not be hashed from its first block again."""
    start = start[: len(start) // size * size]
    done = vllm_block_hashes(start, size, algorithm=algorithm, cache_salt="tenant-1", form="bytes")
    whole = vllm_block_hashes(start + more, size, algorithm=algorithm, cache_salt="tenant-1", form="bytes")
    if done:
        assert done + vllm_block_hashes(more, size, algorithm=algorithm, root=done[-1], form="bytes") == whole


@given(tokens, sizes)
def test_bigrams_are_one_fewer_than_tokens(ids, size):
    """And none of their pages is one of the tokens'."""
    pages = sglang_block_hashes(ids, size, bigrams=True)
    assert len(pages) == max(len(ids) - 1, 0) // size
    assert not set(pages) & set(sglang_block_hashes(ids, size))


@given(tokens, sizes)
def test_sglang_hashes_fit_into_signed_64_bits(ids, size):
    """With a salt, too, and salts keep requests apart."""
    plain, salted = sglang_block_hashes(ids, size), sglang_block_hashes(ids, size, cache_salt="tenant-1")
    assert all(-(2**63) <= each < 2**63 for each in plain + salted)
    assert not set(plain) & set(salted)


@pytest.mark.parametrize("hashed", [vllm_block_hashes, sglang_block_hashes])
@pytest.mark.parametrize("kind", [tuple, TokenIds, lambda ids: array("i", ids), lambda ids: memoryview(array("q", ids))])
def test_any_sequence_of_integers_will_do(hashed, kind):
    """The kind of integer does not get into the hash."""
    assert hashed(kind([1, 2, 3, 4]), 2) == hashed([1, 2, 3, 4], 2)


def test_what_is_empty_is_not_hashed():
    """An empty salt is none, and so is an empty list of keys, as the engines have it."""
    for empty in ({"cache_salt": ""}, {"extra_keys": [()]}, {"extra_keys": [None]}):
        assert vllm_block_hashes([1, 2], 2, **empty) == vllm_block_hashes([1, 2], 2)
    assert sglang_block_hashes([1, 2], 2, cache_salt="") == sglang_block_hashes([1, 2], 2)
