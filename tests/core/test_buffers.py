"""Large bytes in frames beside a message: what is set apart comes back in its place, and nothing else is taken for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kato_transport as kt
from kato_transport.buffers import LEAST_BYTES, MOST
from kato_transport.codecs.json import JsonCodec
from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.wire import (
    BadRequest,
    decode_message,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    request_from_map,
    take_buffers,
)

CODEC = MsgpackCodec()
LARGE = bytes(range(256)) * (LEAST_BYTES // 256)
ENVELOPE = [b"identity", b"correlation"]

kinds = st.sampled_from([bytes, bytearray, memoryview])
large = st.tuples(kinds, st.integers(0, 3)).map(lambda drawn: drawn[0](LARGE + bytes(drawn[1])))
small = st.binary(max_size=50) | st.text(max_size=10) | st.integers(0, 9) | st.just(LARGE[:-1])
fields = st.dictionaries(st.text(max_size=5), small | large, max_size=6)


def taken(frames: list[bytes], limit: int = 64 * LEAST_BYTES) -> tuple[kt.Request, list[bytes]]:
    """The request in the frames that a server got, and the envelope that is left."""
    *envelope, data = frames
    message = decode_message(CODEC, data, limit)
    take_buffers(message, envelope, limit - len(data))
    return request_from_map(message), envelope


def message(**keys: Any) -> bytes:
    return CODEC.encode({"method": "m", **keys})


@settings(max_examples=50)
@given(fields)
def test_large_params_travel_beside_the_message_and_come_back_as_bytes(params: dict[str, Any]) -> None:
    """In any kind and any place; the rest stays in the message, and the caller's params as they are."""
    frames: list[bytes] = []
    before = dict(params)
    data = encode_request(CODEC, kt.Request("m", params), frames=frames)
    assert params == before
    apart = [value for value in params.values() if not isinstance(value, (str, int)) and len(value) >= LEAST_BYTES]
    assert frames == apart
    assert all(type(frame) is bytes for frame in frames)
    if not frames:
        assert decode_request(CODEC, data) == kt.Request("m", params)
        return
    assert len(data) < LEAST_BYTES * (1 + len(params) - len(apart))
    request, envelope = taken([*ENVELOPE, *frames, data])
    assert envelope == ENVELOPE
    assert request.params == params


@settings(max_examples=50)
@given(fields)
def test_large_fields_of_an_answer_do_the_same(body: dict[str, Any]) -> None:
    """And the response that was given stays as it is."""
    frames: list[bytes] = []
    before = dict(body)
    data = encode_response(CODEC, kt.Response(body), frames=frames)
    assert body == before
    assert decode_response(CODEC, data, frames=frames).body == body


def test_what_is_large_deeper_down_stays_in_the_message() -> None:
    """Nothing is searched for it."""
    frames: list[bytes] = []
    params = {"inner": {"value": LARGE}, "list": [LARGE]}
    data = encode_request(CODEC, kt.Request("m", params), frames=frames)
    assert frames == []
    assert decode_request(CODEC, data) == kt.Request("m", params)


def test_what_can_be_changed_is_copied_and_bytes_are_not() -> None:
    """The caller may go on with it while the message is under way."""
    mine, fixed = bytearray(LARGE), LARGE
    frames: list[bytes] = []
    encode_request(CODEC, kt.Request("m", {"mine": mine, "fixed": fixed}), frames=frames)
    mine[0] ^= 255
    assert frames == [LARGE, LARGE]
    assert frames[1] is fixed


def test_a_view_of_numbers_travels_as_its_bytes() -> None:
    """What it is made of is between the caller and the handler; gaps in it do not travel."""
    numbers = memoryview(bytearray(2 * LEAST_BYTES)).cast("d")
    frames: list[bytes] = []
    encode_request(CODEC, kt.Request("m", {"all": numbers, "every other": memoryview(LARGE * 2)[::2]}), frames=frames)
    assert [len(frame) for frame in frames] == [2 * LEAST_BYTES, LEAST_BYTES]


def test_a_codec_without_bytes_can_send_large_ones_beside_its_message() -> None:
    """Small ones it cannot."""
    frames: list[bytes] = []
    data = encode_request(JsonCodec(), kt.Request("m", {"value": LARGE, "n": 1}), frames=frames)
    assert JsonCodec().decode(data)["params"] == {"n": 1}
    with pytest.raises(kt.LocalProtocolError):
        encode_request(JsonCodec(), kt.Request("m", {"value": b"small"}), frames=[])


def test_what_is_to_be_compressed_stays_in_the_message() -> None:
    """A frame of its own would go as it is."""
    frames: list[bytes] = []
    data = encode_request(CODEC, kt.Request("m", {"value": LARGE}, compression="zlib"), frames=frames)
    assert frames == []
    assert len(data) < LEAST_BYTES / 10


def test_more_than_can_be_named_stays_in_the_message() -> None:
    """So that nobody has to take frames without end."""
    params = {f"p{number}": LARGE for number in range(MOST + 2)}
    frames: list[bytes] = []
    data = encode_request(CODEC, kt.Request("m", params), frames=frames)
    assert len(frames) == MOST
    request, _ = taken([*ENVELOPE, *frames, data], limit=100 * LEAST_BYTES)
    assert request.params == params


def test_the_limit_is_for_message_and_buffers_together() -> None:
    """At the client, at the server, and for answers both ways."""
    request = kt.Request("m", {"a": LARGE, "b": LARGE})
    with pytest.raises(kt.MessageTooLarge) as raised:
        encode_request(CODEC, request, 2 * LEAST_BYTES, frames=[])
    assert 2 * LEAST_BYTES < raised.value.size < 2 * LEAST_BYTES + 200
    frames: list[bytes] = []
    data = encode_request(CODEC, request, frames=frames)
    with pytest.raises(BadRequest, match="this server takes") as refused:
        taken([*ENVELOPE, *frames, data], 2 * LEAST_BYTES)
    assert refused.value.code == "too_large"
    kept: list[bytes] = []
    answer = encode_response(CODEC, kt.Response({"status": "okay", "a": LARGE}), limit=LEAST_BYTES, frames=kept)
    assert decode_response(CODEC, answer).body["code"] == "too_large"
    assert kept == []
    whole = encode_response(CODEC, kt.Response({"status": "okay", "a": LARGE}), frames=kept)
    with pytest.raises(kt.RemoteProtocolError, match="exceed max_message_bytes"):
        decode_response(CODEC, whole, LEAST_BYTES, kept)


@pytest.mark.parametrize(
    ("names", "buffers", "said"),
    [
        ("a", [b"1"], "must be a list"),
        (["a", 5], [b"1", b"2"], "must be a list"),
        ([b"a"], [b"1"], "must be a list"),
        ([["a"]], [b"1"], "must be a list"),
        ([f"n{number}" for number in range(MOST + 1)], [b""] * (MOST + 1), f"at most {MOST} names"),
        (["a", "a"], [b"1", b"2"], "names one twice"),
        (["in"], [b"1"], "'in' is in the message, and a buffer as well"),
        (["a", "b", "c", "d"], [b"1"], "4 buffers are named; 2 frames came"),
    ],
    ids=["text", "a number", "bytes", "a list", "too many", "twice", "a clash", "too few frames"],
)
def test_names_and_frames_that_do_not_go_together_are_a_bad_request(names: Any, buffers: list[bytes], said: str) -> None:
    """That says what is wrong, and carries the request's id; in an answer they are the peer's mistake."""
    data = message(params={"in": 1}, buffers=names, id=7)
    with pytest.raises(BadRequest, match=said) as refused:
        taken([*ENVELOPE, *buffers, data])
    assert (refused.value.request_id, refused.value.code) == (7, "invalid_params")
    with pytest.raises(kt.RemoteProtocolError, match="the answer"):
        decode_response(CODEC, CODEC.encode({"in": 1, "buffers": names}), frames=buffers)


def test_frames_that_an_answer_does_not_name_are_the_peers_mistake() -> None:
    """Nobody can tell what they are."""
    with pytest.raises(kt.RemoteProtocolError, match="names 0 buffers, and 1 came"):
        decode_response(CODEC, CODEC.encode({"status": "okay"}), frames=[b"what"])


@pytest.mark.parametrize("params", [{}, {"params": None}], ids=["left out", "null"])
def test_buffers_can_be_all_the_params_there_are(params: dict[str, Any]) -> None:
    """As other params may be left out."""
    request, envelope = taken([*ENVELOPE, b"1", b"2", message(buffers=["a", "b"], **params)])
    assert request.params == {"a": b"1", "b": b"2"}
    assert envelope == ENVELOPE


def test_params_that_are_no_map_are_refused_with_buffers_as_without() -> None:
    """In the same words."""
    with pytest.raises(BadRequest, match="params must be a map"):
        taken([*ENVELOPE, b"1", message(params=[1], buffers=["a"])])


def test_a_transport_of_single_frames_refuses_a_message_that_names_buffers() -> None:
    """Without them it would be another request."""
    with pytest.raises(BadRequest, match="this transport carries none"):
        decode_request(CODEC, message(buffers=["a"]))
    assert decode_request(CODEC, message(buffers=[])) == decode_request(CODEC, message())


def test_an_answer_with_a_field_of_that_name_keeps_its_bytes_in_the_message() -> None:
    """The service's own word stays the service's."""
    frames: list[bytes] = []
    body = {"status": "okay", "buffers": ["mine"], "value": LARGE}
    data = encode_response(CODEC, kt.Response(body), frames=frames)
    assert frames == []
    assert decode_response(CODEC, data).body == body
