"""Events are values, and their token ids are read from the wire only when somebody looks."""

from __future__ import annotations

import pickle
import struct
from copy import deepcopy
from datetime import UTC, datetime

import pytest
from attrs import asdict, evolve
from attrs.exceptions import FrozenInstanceError

from kato_transport.events import BlockRemoved, BlockStored, Origin, TokenIds, from_fields

ORIGIN = Origin(pod="p", sequence=7, timestamp_s=1.8e9)


def stored(**fields):
    return BlockStored(origin=ORIGIN, block_hashes=(1,), **fields)


def test_ids_are_equal_to_any_sequence_of_the_same():
    """However they were given."""
    ids = TokenIds([1, 2, 3])
    assert ids == (1, 2, 3) == ids
    assert ids == [1, 2, 3]
    assert ids == TokenIds(range(1, 4))
    assert hash(ids) == hash((1, 2, 3))
    assert ids != (1, 2)
    assert ids != "123"
    assert (len(ids), ids[0], ids[-1], list(ids), 2 in ids) == (3, 1, 3, [1, 2, 3], True)
    assert ids[1:] == (2, 3)
    assert isinstance(ids[1:], TokenIds)


def test_packed_ids_are_unpacked_once_and_only_when_used():
    """Making, passing on and storing them costs nothing."""
    unpacked = []

    def unpack(packed):
        unpacked.append(packed)
        return list(packed)

    event = stored(token_ids=TokenIds(b"\x01\x02", unpack))
    assert event.token_ids is event.token_ids
    assert unpacked == []
    assert event.token_ids == (1, 2)
    assert len(event.token_ids) == 2
    assert unpacked == [b"\x01\x02"]


def test_ids_do_not_change_with_the_list_they_were_made_of():
    """They are a copy."""
    given = [1, 2]
    ids = TokenIds(given)
    given.append(3)
    assert ids == (1, 2)


def test_an_array_holds_unsigned_32_bit_integers():
    """Bigrams one after the other."""
    array = TokenIds([0, 2**32 - 1]).as_array()
    assert (array.typecode, array.itemsize, list(array)) == ("I", 4, [0, 2**32 - 1])
    assert list(TokenIds([(1, 2), (2, 3)]).as_array()) == [1, 2, 2, 3]
    assert list(TokenIds().as_array()) == []


def test_bigrams_are_pairs_one_for_each_position():
    """So that lengths count positions."""
    ids = TokenIds([(1, 2), (2, 3)])
    assert (ids.bigrams, len(ids), ids[0]) == (True, 2, (1, 2))
    assert not TokenIds([1]).bigrams
    assert not TokenIds().bigrams


def test_ids_are_not_shown_where_events_are_logged():
    """They give the prompt away."""
    event = stored(token_ids=(4711, 4712), cache_salt="s3cret", extra_keys=(("s3cret",),))
    assert "4711" not in repr(event)
    assert "s3cret" not in repr(event)
    assert repr(event.token_ids) == "<2 token ids>"


def test_tokens_as_bytes_are_big_endian():
    """As AIBrix's gateway hashes them."""
    assert stored(token_ids=(1, 2, 70_000)).tokens_as_bytes == struct.pack(">3i", 1, 2, 70_000)
    assert stored().tokens_as_bytes == b""


def test_the_time_is_a_datetime_in_utc():
    """Made of the seconds that the engine sent."""
    assert ORIGIN.timestamp == datetime(2027, 1, 15, 8, tzinfo=UTC)


@pytest.mark.parametrize("event", [stored(token_ids=(1, 2)), BlockRemoved(origin=ORIGIN, block_hashes=(b"x",)), ORIGIN])
def test_events_are_values(event):
    """Frozen, hashable, and equal after any copy, one that was made of fields included."""
    with pytest.raises(FrozenInstanceError):
        event.pod = "q"
    copies = [evolve(event), deepcopy(event), pickle.loads(pickle.dumps(event))]
    copies.append(from_fields(type(event), {**asdict(event, recurse=False)}))
    assert all(copy == event and hash(copy) == hash(event) and repr(copy) == repr(event) for copy in copies)


def test_packed_ids_survive_a_copy():
    """As ids: what unpacks them may not be there on the other side."""
    ids = TokenIds(b"\x05\x06", lambda packed: list(packed))
    assert pickle.loads(pickle.dumps(ids)) == (5, 6)
