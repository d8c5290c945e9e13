"""The hashes that real engines sent come out of their tokens alone.

Only of captures whose root is known: the `blockpool-*` engines had a random one, events carry 8 of a digest's 32 bytes,
and the hashes of the `vllm-*` and `sglang-*` folders are made up.
"""

from __future__ import annotations

import pytest

from kato_transport.events import BlockStored
from kato_transport_kv_events import decode_batch, sglang_block_hashes, vllm_block_hashes, vllm_root

from .. import recorded

VLLM = {  # folder: algorithm, PYTHONHASHSEED, hashes that agree, hashes that cannot be checked
    "engine-vllm-0.32.0-int-hash": ("sha256", None, 84, 0),
    "engine-vllm-0.32.0-lora-shortbuffer": ("sha256", None, 62, 3),
    "engine-vllm-0.32.0-duplicates": ("sha256_cbor", "42", 66, 0),
    "engine-vllm-0.32.0-hybrid": ("sha256", "0", 102, 0),
}


def stored(folder):
    """Every `BlockStored`, in order."""
    for messages in recorded.live(folder).values():
        for message in messages:
            for event in decode_batch(message.payload).events:
                if isinstance(event, BlockStored):
                    yield event


def salt_of(event):
    keys = event.extra_keys[0] if event.extra_keys else None
    return keys[0] if keys else None


def in_order(some, whole):
    """Whether some hashes are among others, in their order: a sliding window keeps only some."""
    rest = iter(whole)
    return all(each in rest for each in some)


@pytest.mark.parametrize("folder", VLLM)
def test_vllm_hashes_come_out_of_the_tokens(folder):
    """From the first block of each request on, with its cache salt, whatever the event's parent."""
    algorithm, seed, agree, unknown = VLLM[folder]
    root = vllm_root(seed, algorithm)
    before = {None: ([], None)}
    checked = left_out = 0
    for event in stored(folder):
        if event.lora_name is not None:  # from 0.31 on the LoRA's path is hashed, which events do not carry
            left_out += len(event.block_hashes)
            continue
        tokens, salt = before[event.parent_block_hash]
        tokens, salt = [*tokens, *event.token_ids], salt or salt_of(event)
        hashes = vllm_block_hashes(tokens, event.block_size, algorithm=algorithm, root=root, cache_salt=salt)
        new = hashes[-(len(event.token_ids) // event.block_size) :]
        assert in_order(event.block_hashes, new)
        before.update({each: (tokens[: (at + 1) * event.block_size], salt) for at, each in enumerate(hashes)})
        checked += len(event.block_hashes)
    assert (checked, left_out) == (agree, unknown)


def test_sglang_hashes_come_out_of_the_tokens():
    """Plain, salted, with an extra key (which does not count), and of bigrams."""
    before = {None: ([], None)}
    kinds = set()
    for event in stored("radix-sglang-0.5.23"):
        tokens, salt = before[event.parent_block_hash]
        bigrams = event.token_ids.bigrams
        new = [event.token_ids[0][0], *(second for _, second in event.token_ids)] if bigrams else list(event.token_ids)
        tokens, salt = tokens + new, salt or event.cache_salt
        hashes = sglang_block_hashes(tokens, event.block_size, bigrams=bigrams, cache_salt=salt)
        assert tuple(hashes[-len(event.block_hashes) :]) == event.block_hashes
        before.update({each: (tokens[: (at + 1) * event.block_size], salt) for at, each in enumerate(hashes)})
        kinds.add((bigrams, salt))
    assert kinds == {(False, None), (False, "tenant-1"), (True, None)}
