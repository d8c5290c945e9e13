"""The fast way and the tolerant way give the same events, and a slow, simple decoder agrees."""

from __future__ import annotations

import msgpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kato_transport.events import Origin
from kato_transport_kv_events.wire import decode_batch
from kato_transport_kv_events.wire.decode import decode_tolerantly

from . import plain

SOURCE = {"pod": "p", "sequence": 1, "model": "m", "topic": "t", "rank": 2}

hashes = st.integers(-(2**63), 2**64 - 1) | st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32)
ids = st.integers(0, 2**32 - 1)
token_ids = st.lists(ids, max_size=9) | st.lists(st.tuples(ids, ids), max_size=5)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()
extra_keys = st.lists(st.none() | st.lists(st.recursive(leaves, st.lists, max_leaves=4), max_size=3), max_size=3)
maybe_text = st.none() | st.text(max_size=9)
maybe_number = st.none() | st.integers(-(2**63), 2**63)

IN_ARRAYS = {
    "BlockStored": {
        "block_hashes": st.lists(hashes, max_size=4),
        "parent_block_hash": st.none() | hashes,
        "token_ids": token_ids,
        "block_size": st.integers(0, 2**20),
        "lora_id": maybe_number,
        "medium": maybe_text,
        "lora_name": maybe_text,
        "extra_keys": st.none() | extra_keys,
        "group_idx": maybe_number,
        "kv_cache_spec_kind": maybe_text,
        "kv_cache_spec_sliding_window": maybe_number,
    },
    "BlockRemoved": {"block_hashes": st.lists(hashes, max_size=4), "medium": maybe_text, "group_idx": maybe_number},
    "AllBlocksCleared": {},
}
MAPS_ADD = {
    "BlockStored": {
        "cache_salt": maybe_text,
        "locality": maybe_text,
        "ownership": maybe_text,
        "session_id": maybe_text,
        "lookahead_token_ids": st.none() | st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=2), max_size=3),
        "unheard_of": st.recursive(leaves, st.lists, max_leaves=4),
    },
    "BlockRemoved": {"locality": maybe_text, "ownership": maybe_text, "unheard_of": leaves},
    "AllBlocksCleared": {"unheard_of": leaves},
}
kinds = st.sampled_from(sorted(IN_ARRAYS))


@st.composite
def arrays(draw):
    """An event as an array: its fields up to some point, or all of them and something unheard of."""
    kind = draw(kinds)
    values = [draw(strategy) for strategy in IN_ARRAYS[kind].values()]
    length = draw(st.integers(min(1, len(values)), len(values)))
    return [kind, *values[:length], *draw(st.just([]) if length < len(values) else st.lists(leaves, max_size=2))]


@st.composite
def maps(draw):
    """An event as a map: some of its fields, in any order."""
    kind = draw(kinds)
    fields = IN_ARRAYS[kind] | MAPS_ADD[kind]
    needed = {"type", "block_hashes"} & ({"type"} | fields.keys())
    names = draw(st.permutations(sorted(needed | draw(st.sets(st.sampled_from(sorted(fields or needed)))))))
    return {name: kind if name == "type" else draw(fields[name]) for name in names}


ranks = st.just(()) | st.tuples(st.none() | st.integers(0, 64))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ts=st.floats(0, 2e9), events=st.lists(arrays(), max_size=4) | st.lists(maps(), max_size=4), rank=ranks)
def test_every_batch_is_read_the_same_both_ways(ts, events, rank):
    """Whatever version sent it, and whatever versions to come may add."""
    payload = msgpack.packb([ts, events, *rank])
    fast = decode_batch(payload, **SOURCE)
    assert fast == decode_tolerantly(payload, **SOURCE)
    assert (fast.timestamp_s, fast.rank, fast.skipped) == (ts, rank[0] if rank else None, ())
    origin = Origin(**SOURCE | {"timestamp_s": ts, "rank": 2 if fast.rank is None else fast.rank})
    assert list(fast.events) == plain.decode(payload, origin)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=st.lists(arrays() | maps() | leaves, max_size=6))
def test_every_event_that_can_be_read_alone_is_read_among_others(events):
    """What is beside it in the batch, of whichever encoding, changes nothing."""
    together = decode_batch(msgpack.packb([1.0, events]), **SOURCE)
    alone = [decode_batch(msgpack.packb([1.0, [event]]), **SOURCE) for event in events]
    assert together.events == tuple(event for batch in alone for event in batch.events)
    assert sum(entry.count for entry in together.skipped) == sum(entry.count for batch in alone for entry in batch.skipped)
