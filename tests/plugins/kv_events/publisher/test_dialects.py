"""The publisher's bytes are the engines' own."""

from __future__ import annotations

import re

import pytest
from attrs import evolve

from kato_transport.errors import InvalidSetting
from kato_transport_kv_events.testing import DIALECTS as NAMES
from kato_transport_kv_events.testing import cleared, encode_batch, find_dialect, stored
from kato_transport_kv_events.wire import decode_batch

from .. import recorded


def dialect_of(folder):
    """The version that a capture is of."""
    return find_dialect(re.search(r"(vllm|sglang)-[\d.]+", folder).group())


@pytest.mark.parametrize("folder", recorded.FOLDERS)
def test_a_captured_batch_encodes_to_the_bytes_it_was(folder):
    """Every batch of every capture, live and replayed."""
    dialect = dialect_of(folder)
    replayed = {frames[-1] for replay in recorded.replays(folder).values() for frames in replay.replies} - {b""}
    for payload in {*recorded.payloads(folder), *replayed}:
        batch = decode_batch(payload)
        assert encode_batch(batch.events, dialect, batch.timestamp_s, batch.rank) == payload


@pytest.mark.parametrize("folder", recorded.FOLDERS)
def test_a_dialect_frames_replays_as_its_version_did(folder):
    """With the topic or without."""
    frames = {len(frames) for replay in recorded.replays(folder).values() for frames in replay.replies}
    assert frames == {4 if dialect_of(folder).replay_has_topic else 3}


@pytest.mark.parametrize("name", NAMES)
def test_a_dialect_loses_nothing_that_it_has_a_field_for(name):
    """What is encoded comes back; what the version did not know yet comes back as its default."""
    dialect = find_dialect(name)
    fields = {
        "parent_block_hash": 3,
        "token_ids": (5, 6),
        "block_size": 2,
        "lora_id": 4,
        "medium": "CPU",
        "lora_name": "a",
        "extra_keys": (("a",),),
        "group_idx": 1,
        "kv_cache_spec_kind": "sliding_window",
        "kv_cache_spec_sliding_window": 64,
        "locality": "LOCAL",
        "ownership": "o",
        "session_id": "s",
        "lookahead_token_ids": ((7,),),
        "cache_salt": "c",
    }
    batch = decode_batch(encode_batch([stored(1, **fields), cleared()], dialect, 1.5, 3), rank=3)
    known = {name: value for name, value in fields.items() if name in dialect.stored}
    origin = batch.events[0].origin
    assert batch.events == (evolve(stored(1, **known), origin=origin), evolve(cleared(), origin=origin))
    assert batch.rank == (3 if dialect.batch_has_rank else None)


@pytest.mark.parametrize("name", ["vllm-0.11.2", "vllm-0.13", "vllm-0.10.2.dev3+cpu"])
def test_a_version_speaks_as_the_last_that_changed_something(name):
    """Whatever its number, and whatever is behind that."""
    assert find_dialect(name) == find_dialect("vllm-0.10.2")


@pytest.mark.parametrize("name", ["vllm-0.8.5", "sglang-0.4.5", "vllm", "trtllm-1.0", ""])
def test_an_unknown_dialect_is_told_what_there_is(name):
    """Engines, and versions before they had events."""
    with pytest.raises(InvalidSetting, match=r"no dialect .*vllm-0\.9\.0.*sglang-0\.4\.6"):
        find_dialect(name)
