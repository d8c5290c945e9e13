"""What is in a payload, dialect by dialect, and what becomes of what is wrong with it."""

from __future__ import annotations

import math

import msgpack
import pytest

import kato_transport_kv_events as package
from kato_transport.errors import DecodeError, RemoteProtocolError
from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored
from kato_transport_kv_events.wire import BatchFault, SkipReason, UndecodableBatch, decode_batch

STORED = ["BlockStored", [1], None, [5, 6], 2, None, "GPU"]
REMOVED = ["BlockRemoved", [1], "GPU"]
CLEARED = ["AllBlocksCleared"]


def packed(*events, ts=1.5, rank=(0,)):
    return msgpack.packb([ts, list(events), *rank])


def one(event):
    """The event that comes of one."""
    batch = decode_batch(packed(event))
    assert batch.skipped == ()
    return batch.events[0]


def skipped(*events):
    """Reason, kind, position and count of what was skipped."""
    batch = decode_batch(packed(*events))
    return [(entry.reason, entry.kind, entry.position, entry.count) for entry in batch.skipped]


def fault(payload):
    with pytest.raises(UndecodableBatch) as caught:
        decode_batch(payload)
    return caught.value.reason


def test_an_event_says_where_it_comes_from():
    """What the caller knows of its source, and what the batch says itself."""
    batch = decode_batch(packed(CLEARED, ts=1.8e9, rank=[3]), pod="p", sequence=9, model="m", topic="kv@p@m", rank=1)
    origin = batch.events[0].origin
    assert (origin.pod, origin.sequence, origin.model, origin.topic, origin.rank) == ("p", 9, "m", "kv@p@m", 3)
    assert origin.timestamp_s == batch.timestamp_s == 1.8e9
    assert origin.timestamp.isoformat() == "2027-01-15T08:00:00+00:00"


@pytest.mark.parametrize("rank", [[], [None]], ids=["two elements", "null"])
def test_a_batch_that_names_no_rank_has_its_sources(rank):
    """As vLLM 0.9.0 and SGLang 0.4.6 send it."""
    batch = decode_batch(packed(CLEARED, rank=rank), rank=4)
    assert (batch.rank, batch.events[0].origin.rank) == (None, 4)


def test_the_order_within_a_batch_is_kept():
    """An AllBlocksCleared may share a batch with later stores."""
    kinds = [type(event) for event in decode_batch(packed(REMOVED, CLEARED, STORED)).events]
    assert kinds == [BlockRemoved, AllBlocksCleared, BlockStored]


@pytest.mark.parametrize("value", [0, 2**64 - 1, -(2**63), b"x" * 16, b"x" * 32])
def test_hashes_of_every_kind_are_taken_as_they_are(value):
    """Unsigned, signed, 16 bytes and 32."""
    event = one(["BlockStored", [value, value], value, [], 0, None])
    assert (event.block_hashes, event.parent_block_hash) == ((value, value), value)
    assert one({"type": "BlockRemoved", "block_hashes": [value]}).block_hashes == (value,)


@pytest.mark.parametrize("event", [["BlockStored", []], {"type": "BlockStored", "block_hashes": []}], ids=["array", "map"])
def test_whatever_is_missing_has_its_default(event):
    """No dialect is that short; the ones to come may leave out more."""
    event = one(event)
    expected = BlockStored(origin=event.origin, block_hashes=())
    assert event == expected
    assert repr(event) == repr(expected)


def test_no_medium_is_the_gpu():
    """Old versions have none, or null."""
    assert one(["BlockStored", [1], None, [], 0, None]).medium == "GPU"
    assert one({"type": "BlockRemoved", "block_hashes": [1], "medium": None}).medium == "GPU"
    assert one({"type": "BlockRemoved", "block_hashes": [1], "medium": "DISK"}).medium == "DISK"


def test_a_store_may_name_fewer_hashes_than_blocks():
    """A sliding window keeps some, or none; a connector's placeholder has neither tokens nor a block size."""
    masked = one(["BlockStored", [1], 7, list(range(8)), 2, None])
    assert (len(masked.block_hashes), len(masked.token_ids), masked.block_size) == (1, 8, 2)
    assert one(["BlockStored", [], None, [1, 2], 2, None]).block_hashes == ()
    placeholder = one(["BlockStored", [1, 2], None, [], 0, None, "STORAGE"])
    assert (tuple(placeholder.token_ids), placeholder.block_size, placeholder.medium) == ((), 0, "STORAGE")


def test_bigrams_stay_pairs():
    """SGLang with EAGLE sends for each position its id and the next."""
    event = one(["BlockStored", [1], None, [[5, 6], [6, 7]], 2, None])
    assert event.token_ids == ((5, 6), (6, 7))
    assert event.token_ids.bigrams
    assert list(event.token_ids.as_array()) == [5, 6, 6, 7]


def test_fields_of_maps_come_under_their_names():
    """Those that arrays never had, and any order."""
    event = one(
        {
            "session_id": "s",
            "ownership": "o",
            "locality": "REMOTE",
            "cache_salt": "c",
            "lookahead_token_ids": [[9]],
            "block_hashes": [1],
            "extra_keys": [["a", ["b", 2]], None],
            "group_idx": 1,
            "type": "BlockStored",
        }
    )
    assert (event.session_id, event.ownership, event.locality, event.cache_salt) == ("s", "o", "REMOTE", "c")
    assert event.lookahead_token_ids == ((9,),)
    assert event.extra_keys == (("a", ("b", 2)), None)
    assert event.group_idx == 1
    assert hash(event)
    assert one({"type": "BlockStored", "block_hashes": [1], "lookahead_token_ids": None}).lookahead_token_ids is None


def test_unknown_fields_and_elements_are_passed_over():
    """They will come; known ones keep their place."""
    assert one({"type": "BlockRemoved", "block_hashes": [1], "colour": {"a": [1]}}).block_hashes == (1,)
    assert one(["BlockRemoved", [1], "GPU", 0, {"a": 1}, 2]).group_idx == 0
    longest = ["BlockStored", [1], None, [], 0, None, "GPU", None, None, 0, "full_attention", None, 128, "later"]
    assert one(longest).kv_cache_spec_kind == "full_attention"
    assert decode_batch(msgpack.packb([1.5, [CLEARED], 0, "more"])).events


def test_an_unknown_tag_costs_its_event_only():
    """In either encoding, wherever it is in the batch."""
    assert len(decode_batch(packed(STORED, ["BlockMoved", 1], REMOVED)).events) == 2
    assert skipped(STORED, ["BlockMoved", 1], REMOVED) == [(SkipReason.UNKNOWN_TAG, None, 1, 1)]
    assert skipped({"type": "BlockMoved"}, {"type": "BlockMoved"}) == [(SkipReason.UNKNOWN_TAG, None, 0, 2)]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (["BlockStored", "x"], BlockStored),
        (["BlockStored", [1.5]], BlockStored),
        (["BlockStored", [True]], BlockStored),
        (["BlockStored", [1], None, [], "big"], BlockStored),
        (["BlockStored", [1], None, [], 0, None, None, None, [[{"a": 1}]]], BlockStored),
        ({"type": "BlockStored"}, BlockStored),
        ({"type": "BlockRemoved", "block_hashes": ["x"]}, BlockRemoved),
        (["BlockRemoved"], BlockRemoved),
        ({"type": 5}, None),
        ({"block_hashes": [1]}, None),
        ({5: 6}, None),
        ([], None),
        ([["BlockStored"]], None),
        (None, None),
        ("BlockStored", None),
    ],
)
def test_a_malformed_event_says_of_which_kind_it_was(event, kind):
    """If it does: what state its source is in after it depends on that."""
    assert skipped(STORED, event, CLEARED) == [(SkipReason.MALFORMED, kind, 1, 1)]
    assert len(decode_batch(packed(STORED, event, CLEARED)).events) == 2


def test_skipped_events_are_counted_by_place_reason_and_kind():
    """So that what came before an AllBlocksCleared can be told from what came after."""
    bad = ["BlockStored", "x"]
    assert skipped(bad, ["New"], bad, CLEARED, bad) == [
        (SkipReason.MALFORMED, BlockStored, 0, 2),
        (SkipReason.UNKNOWN_TAG, None, 0, 1),
        (SkipReason.MALFORMED, BlockStored, 1, 1),
    ]


def test_text_that_is_not_utf_8_costs_its_event_only():
    """Wherever it stands."""
    bad = packed(CLEARED, ["BlockRemoved", [1], "?"], ["?"]).replace(b"\xa1?", b"\xa1\xff")
    batch = decode_batch(bad)
    assert len(batch.events) == 1
    assert [(entry.reason, entry.kind) for entry in batch.skipped] == [
        (SkipReason.MALFORMED, BlockRemoved),
        (SkipReason.MALFORMED, None),
    ]


def test_arrays_and_maps_may_share_a_batch():
    """No engine does that; a proxy might."""
    batch = decode_batch(packed(STORED, {"type": "BlockRemoved", "block_hashes": [1]}))
    assert [type(event) for event in batch.events] == [BlockStored, BlockRemoved]
    assert batch.skipped == ()


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65_535, 65_536])
@pytest.mark.parametrize("event", [CLEARED, {"type": "AllBlocksCleared"}], ids=["array", "map"])
def test_a_batch_may_be_empty_or_large(event, count):
    """MessagePack has three ways to say how many."""
    batch = decode_batch(packed(*[event] * count))
    assert (len(batch.events), batch.skipped) == (count, ())


@pytest.mark.parametrize("count", [1, 16, 65_536])
@pytest.mark.parametrize("event", [CLEARED, {"type": "AllBlocksCleared"}], ids=["array", "map"])
def test_no_batch_is_too_large_for_the_fast_way(event, count, monkeypatch):
    """The first event is found behind a header of any width."""
    monkeypatch.setattr("kato_transport_kv_events.wire.decode.decode_tolerantly", None)
    assert len(decode_batch(packed(*[event] * count)).events) == count


def test_a_timestamp_may_be_a_whole_number():
    """Of seconds, as an integer; the batch is read, if not the fast way."""
    assert decode_batch(packed(STORED, ts=3)).timestamp_s == 3.0


@pytest.mark.parametrize("ts", [math.nan, math.inf, -1.0, 253_402_300_800.0, 1.8e18])
def test_a_time_that_no_calendar_has_is_refused(ts):
    """Not a number, infinite, before 1970, after 9999, or in nanoseconds."""
    assert fault(packed(STORED, ts=ts)) == BatchFault.TIMESTAMP


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", BatchFault.NOT_MSGPACK),
        (packed(STORED)[:-3], BatchFault.NOT_MSGPACK),
        (packed(STORED) + b"\x00", BatchFault.NOT_MSGPACK),
        (b"\xc1", BatchFault.NOT_MSGPACK),
        (b"\x93\xcb" + b"\x00" * 8 + b"\xdd\xff\xff\xff\xff", BatchFault.NOT_MSGPACK),
        (b"\x93\xcb" + b"\x00" * 8 + b"\x91" * 100_000, BatchFault.TOO_DEEP),
        (b"\x93\xcb" + b"\x00" * 8 + b"\x81\xa1a" * 100_000, BatchFault.NOT_A_BATCH),
        (msgpack.packb({"ts": 1.0, "events": []}), BatchFault.NOT_A_BATCH),
        (msgpack.packb([1.0]), BatchFault.NOT_A_BATCH),
        (msgpack.packb(["now", []]), BatchFault.NOT_A_BATCH),
        (msgpack.packb([1.0, {}]), BatchFault.NOT_A_BATCH),
        (msgpack.packb([1.0, None, 0]), BatchFault.NOT_A_BATCH),
        (msgpack.packb([1.0, [], "0"]), BatchFault.NOT_A_BATCH),
        (msgpack.packb(7), BatchFault.NOT_A_BATCH),
    ],
)
def test_what_is_no_batch_says_why(payload, reason):
    """In one of four words."""
    assert fault(payload) == reason


def test_an_undecodable_batch_is_an_error_of_the_peers():
    """Under the library's own base class, with the first bytes and the size."""
    with pytest.raises(RemoteProtocolError, match=r"not kv-events: not_a_batch \(1 bytes") as caught:
        decode_batch(b"\x07")
    assert isinstance(caught.value, DecodeError)
    assert (caught.value.head, caught.value.size) == (b"\x07", 1)


@pytest.mark.parametrize("ids", [["a"], [1.5], [True], [[1, 2], 3], [[1, 2, 3]], {"a": 1}, "abc", 7])
def test_token_ids_that_are_none_show_when_they_are_used(ids):
    """The event is as good as any but for them: its hashes are resident. And what is no id is not shown to anybody."""
    event = one(["BlockStored", [1], None, ids, 2, None])
    assert event.block_hashes == (1,)
    for use in (len, list, hash, type(event.token_ids).as_array):
        with pytest.raises(DecodeError, match="token_ids") as caught:
            use(event.token_ids)
        assert caught.value.head == b""


@pytest.mark.parametrize("ids", [[-1], [2**32], [[1, 2**63]]])
def test_token_ids_beyond_32_bits_show_in_the_array(ids):
    """Where they are first taken for what they should be."""
    with pytest.raises(DecodeError, match="token_ids"):
        one(["BlockStored", [1], None, ids, 2, None]).token_ids.as_array()


def test_a_memoryview_will_do():
    """As a frame that was never copied."""
    payload = packed(STORED, REMOVED)
    assert decode_batch(memoryview(payload)) == decode_batch(payload)


def test_the_package_has_what_it_promises():
    """Names come from their modules when they are first used; others are not there."""
    for name in package.__all__:
        assert getattr(package, name).__module__.startswith("kato_transport_kv_events.")
    assert package.decode_batch is decode_batch
    with pytest.raises(AttributeError, match="'encode'"):
        package.encode  # noqa: B018 -- looking is the test
