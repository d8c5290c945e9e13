"""MessagePack and JSON: what they carry, and how they say that they cannot."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kato_transport import Codec, DecodeError, LocalProtocolError
from kato_transport.codecs.json import JsonCodec
from kato_transport.codecs.msgpack import MsgpackCodec

MSGPACK, JSON = MsgpackCodec(), JsonCodec()
BOTH = [MSGPACK, JSON]

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)


@pytest.mark.parametrize("codec", BOTH, ids=lambda codec: codec.name)
@settings(max_examples=40)
@given(value=plain)
def test_plain_values_come_back_as_they_were(codec: Codec, value: Any) -> None:
    """Text as text, integers as integers, lists as lists."""
    assert codec.decode(codec.encode(value)) == value


@given(st.binary())
def test_messagepack_carries_bytes(value: bytes) -> None:
    """As bytes, which is not text."""
    assert MSGPACK.decode(MSGPACK.encode({"value": value})) == {"value": value}


def test_json_refuses_bytes_and_says_so() -> None:
    """Rather than to guess an encoding."""
    with pytest.raises(LocalProtocolError, match="cannot be sent as json"):
        JSON.encode({"value": b"x"})


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=repr)
def test_json_sends_no_number_that_json_does_not_have(value: float) -> None:
    """`NaN` is not JSON, whatever Python's module thinks."""
    with pytest.raises(LocalProtocolError):
        JSON.encode(value)


@pytest.mark.parametrize("codec", BOTH, ids=lambda codec: codec.name)
@given(data=st.binary(max_size=100))
def test_any_bytes_decode_or_are_a_decode_error(codec: Codec, data: bytes) -> None:
    """That tells the codec, the size and the beginning."""
    refused: DecodeError | None = None
    try:
        codec.decode(data)
    except DecodeError as exc:
        refused = exc
    if refused is not None:
        assert (refused.codec, refused.size, refused.head) == (codec.name, len(data), data[:16])
        assert str(refused).startswith(f"not {codec.name}: ")


@pytest.mark.parametrize("codec", BOTH, ids=lambda codec: codec.name)
def test_nesting_without_end_is_an_error_on_both_sides(codec: Codec) -> None:
    """And not a crash."""
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(LocalProtocolError):
        codec.encode(knot)
    with pytest.raises(DecodeError):
        codec.decode((b"\x91" if codec is MSGPACK else b"[") * 100_000)


@pytest.mark.parametrize(
    "head", [b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"]
)
def test_lengths_that_lie_cost_nothing(head: bytes) -> None:
    """No four gigabytes are set aside for a message of nine bytes."""
    with pytest.raises(DecodeError):
        MSGPACK.decode(head + b"abcd")


def test_map_keys_may_be_of_any_type_and_unhashable_ones_are_an_error() -> None:
    """Of MessagePack, which allows them."""
    assert MSGPACK.decode(msgpack.packb({1: "a", b"b": 2})) == {1: "a", b"b": 2}
    with pytest.raises(DecodeError):
        MSGPACK.decode(b"\x81\x91\x01\x02")


def test_a_map_that_packs_another_message_while_it_is_packed_spoils_neither() -> None:
    """Packers are kept for the next message, and its own methods may be in need of one."""
    inner: list[bytes] = []

    class Busy(dict[str, Any]):
        def items(self) -> Any:
            inner.append(MSGPACK.encode({"inner": "x" * 1000}))
            return super().items()

    assert MSGPACK.decode(MSGPACK.encode({"before": 1, "busy": Busy(a=1), "after": 2})) == {
        "before": 1,
        "busy": {"a": 1},
        "after": 2,
    }
    assert inner == [MSGPACK.encode({"inner": "x" * 1000})]


def test_after_a_message_that_cannot_be_packed_the_next_one_is_as_it_should_be() -> None:
    """Nothing is left of what was packed until then."""
    for _ in range(20):
        with pytest.raises(LocalProtocolError):
            MSGPACK.encode({"before": "x" * 100, "value": object()})
        assert MSGPACK.encode({"a": 1}) == b"\x81\xa1a\x01"


@pytest.mark.parametrize("codec", BOTH, ids=lambda codec: codec.name)
def test_what_a_maps_own_methods_raise_is_an_error_like_any_other(codec: Codec) -> None:
    """Or a server would answer nothing."""

    class Broken(dict[str, Any]):
        def items(self) -> Any:
            raise KeyError("broken")

    with pytest.raises(LocalProtocolError, match="broken"):
        codec.encode({"value": Broken(a=1)})
