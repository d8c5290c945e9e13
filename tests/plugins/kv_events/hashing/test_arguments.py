"""What cannot be hashed is refused, with a word on what can: a wrong hash would only look like a miss."""

from __future__ import annotations

import sys

import pytest

from kato_transport.errors import InvalidSetting
from kato_transport_kv_events import sglang_block_hashes, vllm_block_hashes, vllm_root


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"algorithm": "md5"}, "no algorithm named 'md5'; there are: sha256, sha256_cbor"),
        ({"form": "hex"}, "no form named 'hex'; there are: int, bytes"),
        ({"root": 12345}, r"root must be 32 bytes: what vllm_root\(…\) gives, or the digest of the block before, not 12345"),
        ({"root": b"seed"}, "root must be"),
        ({"lookahead": -1}, "lookahead must be a whole number of at least 0, not -1"),
        ({"extra_keys": [None]}, "extra_keys must have an entry for each block: 1 of them for 2 blocks"),
        ({"extra_keys": [[{}], None]}, "an extra key is None, a number, text, bytes or a tuple of these, not dict"),
        ({"extra_keys": ["image-a", None]}, "an entry of extra_keys is a list or tuple of keys, or None, not str"),
        ({"cache_salt": 7}, "cache_salt must be text or None, not 7"),
        ({"lora_name": "one"}, "give lora_path, or tagged_keys=False for older releases"),
        ({"lora_path": "/one"}, "lora_path is hashed with a lora_name"),
        ({"lora_name": "one", "lora_path": "/one", "tagged_keys": False}, "by vLLM from 0.31 on only"),
    ],
)
def test_vllm_options_that_cannot_be(options, said):
    """Each says what was asked and what there is."""
    with pytest.raises(InvalidSetting, match=said):
        vllm_block_hashes([1, 2, 3, 4], 2, **options)


@pytest.mark.parametrize("hashed", [vllm_block_hashes, sglang_block_hashes])
@pytest.mark.parametrize("ids", [[1, (2, 3)], ["1"], [1.0], b"\x00" * 16, "12", [2**64], 7])
def test_token_ids_that_are_none(hashed, ids):
    """Pairs, text, fractions, bytes, too large ones, and no sequence."""
    with pytest.raises(InvalidSetting, match="token_ids must"):
        hashed(ids, 2)


def test_sglang_packs_token_ids_into_32_bits():
    """Larger ones and negative ones have no hash."""
    for ids in ([2**32], [-1]):
        with pytest.raises(InvalidSetting, match=r"between 0 and 2\*\*32 - 1"):
            sglang_block_hashes(ids, 1)


@pytest.mark.parametrize("hashed", [vllm_block_hashes, sglang_block_hashes])
@pytest.mark.parametrize("size", [0, -1, 1.5, None])
def test_sizes_that_cannot_be(hashed, size):
    """Nothing is divided by zero."""
    with pytest.raises(InvalidSetting, match="_size must be a whole number of at least 1"):
        hashed([1, 2], size)


def test_an_sglang_salt_is_text():
    """As it is for vLLM."""
    with pytest.raises(InvalidSetting, match="cache_salt must be text or None, not 7"):
        sglang_block_hashes([1, 2], 2, cache_salt=7)


def test_a_seed_is_text():
    """The number 42 would be hashed as a number, and vLLM hashes the text that the environment has."""
    with pytest.raises(InvalidSetting, match="seed must be the text of PYTHONHASHSEED"):
        vllm_root(42)


def test_cbor_is_asked_for_where_it_is_missing(monkeypatch):
    """What to install, and nothing before it is needed."""
    monkeypatch.setitem(sys.modules, "cbor2", None)
    assert vllm_root("0", "sha256")
    with pytest.raises(InvalidSetting, match=r"pip install 'kato-transport-kv-events\[cbor\]'"):
        vllm_root("0", "sha256_cbor")
