"""Nothing that a payload can hold makes decoding raise anything else, or take more memory than it says."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from contextlib import suppress

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kato_transport.errors import DecodeError
from kato_transport.events import BlockRemoved, BlockStored
from kato_transport_kv_events.wire import BatchFault, SkipReason, UndecodableBatch, decode_batch

from .. import recorded

FUZZED = 100_000
BYTES_PER_BYTE = 200
HEADERS = bytes.fromhex("90 9f 80 8f a1 c0 c1 c4 c6 c7 c9 ca cb cf d3 d6 db dd df")


def outcome(payload):
    """What comes of a payload, after everything in it was looked at."""
    try:
        batch = decode_batch(payload, pod="p", sequence=1)
    except UndecodableBatch as exc:
        return BatchFault(exc.reason)
    for event in batch.events:
        look_at(event)
    assert all(entry.count > 0 and entry.position <= len(batch.events) for entry in batch.skipped)
    return SkipReason(batch.skipped[0].reason) if batch.skipped else "read"


def look_at(event):
    if isinstance(event, (BlockStored, BlockRemoved)):
        assert all(type(value) in (int, bytes) for value in event.block_hashes)
        assert type(event.medium) is str
    if isinstance(event, BlockStored):
        assert hash(event.extra_keys) is not None
        with suppress(DecodeError):
            event.token_ids.as_array()


def mutate(dice, payload, other):
    """A payload with something wrong with it, as seeded dice have it."""
    at = dice.randrange(len(payload))
    match dice.randrange(7):
        case 0:
            return payload[:at]
        case 1:
            return payload[:at] + bytes((dice.randrange(256),)) + payload[at + 1 :]
        case 2:
            return payload[:at] + bytes((dice.choice(HEADERS),)) + payload[at + 1 :]
        case 3:
            return payload[:at] + payload[at + dice.randrange(1, 9) :]
        case 4:
            return payload[:at] + dice.randbytes(dice.randrange(1, 9)) + payload[at:]
        case 5:
            return payload[:at] + bytes((dice.choice(HEADERS),)) + b"\xff\xff\xff\xff" + payload[at:]
        case _:
            return payload[:at] + other[dice.randrange(len(other)) :]


def test_no_mutation_of_a_real_payload_gets_through():
    """Cut off, flipped, spliced, with pieces missing and headers that promise four billion more; twice over for every third."""
    dice = random.Random(1)
    real = sorted(set(recorded.payloads()), key=len)[:400]
    outcomes = Counter()
    for number in range(FUZZED):
        payload = mutate(dice, dice.choice(real), dice.choice(real))
        if number % 3 == 0 and payload:
            payload = mutate(dice, payload, dice.choice(real))
        outcomes[outcome(payload)] += 1
    assert sum(outcomes.values()) == FUZZED
    assert set(outcomes) == {"read", *SkipReason, *BatchFault} - {BatchFault.TOO_DEEP}
    assert min(outcomes.values()) > FUZZED / 2000, "the mutations no longer reach every branch"


@given(payload=st.binary(max_size=200))
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_random_bytes_get_through(payload):
    """Alone, and where a batch has its events."""
    outcome(payload)
    outcome(b"\x93\xcb" + b"\x00" * 8 + payload)


words = st.sampled_from(["BlockStored", "BlockRemoved", "AllBlocksCleared", "type", "block_hashes", "token_ids", "extra_keys"])
extensions = st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=9))
times = st.builds(msgpack.Timestamp, st.integers(0, 2**60))
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.binary(), words, extensions, times
)
anything = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(words | st.integers(0, 9), inner), max_leaves=9)


@given(event=anything, ts=st.floats(), rank=leaves)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_in_an_events_place_gets_through(event, ts, rank):
    """Any MessagePack there is, extension types included: as an event, and as the fields of one."""
    outcome(msgpack.packb([ts, [event, ["BlockStored", event], ["BlockStored", [], None, [], 0, 0, "", "", event]]]))
    outcome(msgpack.packb([ts, [event], rank]))


MANY = 20_000
STORED = ["BlockStored", [], None, [], 0, None, None, None]


@pytest.mark.parametrize(
    "events",
    [
        [None] * MANY,
        [[]] * MANY,
        [["BlockStored", []]] * MANY,
        [{"type": "BlockRemoved", "block_hashes": []}] * MANY,
        [["AllBlocksCleared"], ["X"], 1, ["BlockStored", 0], ["BlockRemoved", 0]] * (MANY // 5),
        [["BlockStored", [1] * MANY]],
        [["BlockStored", [2**63] * MANY]],
        [["BlockStored", [], None, [1] * MANY]],
        [[*STORED, [[]] * MANY]],
        [[*STORED, [[1]] * MANY]],
        [[*STORED, [[[]] * MANY]]],
        [[*STORED, [[{}] * MANY]]],
    ],
    ids=["nulls", "empty", "stores", "removals", "skipped", "hashes", "wide hashes", "ids", "keys", "key", "nested", "maps"],
)
def test_memory_is_bounded_by_the_payloads_size(events):
    """However many small things are in it."""
    assert peak(msgpack.packb([1.0, events])) < BYTES_PER_BYTE


@pytest.mark.parametrize("prefix", [b"", b"\x93\xcb" + b"\x00" * 8, b"\x93\xcb" + b"\x00" * 8 + b"\x91"])
@pytest.mark.parametrize("huge", [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"])
def test_a_length_is_not_believed_before_its_content_is_there(prefix, huge):
    """Four billion elements, keys or bytes, in nine; in a kilobyte, because every decoding takes a few hundred bytes."""
    payload = prefix + huge + b"\xff\xff\xff\xff" * 250
    assert peak(payload) < BYTES_PER_BYTE


@pytest.mark.parametrize("header", [b"\x91", b"\x81\xa1a", b"\xdc\x00\x01", b"\xdc\xff\xff", b"\x81"])
@pytest.mark.parametrize("before", [b"", b"\x93\xcb" + b"\x00" * 8 + b"\x91\x92\xabBlockStored"])
def test_deep_nesting_ends_in_an_error(before, header):
    """A million levels, where the interpreter bears a thousand."""
    with pytest.raises(UndecodableBatch):
        decode_batch(before + header * 1_000_000)


def test_extra_keys_as_deep_as_can_be_are_skipped_or_read():
    """Between what the decoder bears and what the conversion bears there is no gap to fall into."""
    for depth in range(0, 1100, 9):
        keys = b"\x91" * (depth + 2) + b"\x90"
        event = b"\x99\xabBlockStored\x90\xc0\x90\x00\xc0\xc0\xc0" + keys
        outcome(b"\x92\xcb" + b"\x00" * 8 + b"\x91" + event)


def peak(payload):
    """Bytes allocated at most while a payload is decoded, for each byte of it."""
    outcome(payload)  # what is made once
    tracemalloc.start()
    try:
        kept = decode_batch(payload)
    except UndecodableBatch as exc:
        kept = exc
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kept is not None
    return most / len(payload)
