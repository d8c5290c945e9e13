"""The message maps: any bytes become a request, a heartbeat or a refusal, and requests survive the way there."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kato_transport import Codec, DecodeError, LocalProtocolError, RemoteProtocolError, Request, Response
from kato_transport.codecs.json import JsonCodec
from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.wire import (
    DEFAULT_TIMEOUT_S,
    BadRequest,
    Heartbeat,
    decode_request,
    decode_response,
    encode_heartbeat,
    encode_heartbeat_answer,
    encode_request,
    encode_response,
)

CODECS = [MsgpackCodec(), JsonCodec()]
codecs = st.sampled_from(CODECS)

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=10
)
maps = st.dictionaries(st.text(), values, max_size=5)

almost_requests = st.fixed_dictionaries(
    {},
    optional={
        "method": st.just("observe") | values,
        "params": maps | values,
        "id": values,
        "request_id": values,
        "processor_id": st.text() | values,
        "timeout_s": st.floats() | st.integers(-(2**63), 2**64 - 1) | values,
        "trace": values,
        "type": st.just("heartbeat") | values,
    },
)


def decoded(codec: Codec, data: bytes) -> Request | Heartbeat | BadRequest:
    """What becomes of the bytes; anything else that is raised fails the test."""
    try:
        return decode_request(codec, data)
    except BadRequest as exc:
        refused = exc
    assert refused.answer.is_error
    assert codec.encode(refused.answer.body)
    return refused


@given(codecs, st.binary(max_size=200))
def test_any_bytes_are_a_request_a_heartbeat_or_a_refusal(codec: Codec, data: bytes) -> None:
    """Nothing else is raised, and a refusal can be sent."""
    assert isinstance(decoded(codec, data), (Request, Heartbeat, BadRequest))


@given(codecs, values | almost_requests)
def test_any_object_is_a_request_a_heartbeat_or_a_refusal(codec: Codec, message: Any) -> None:
    """However close to a request it is."""
    try:
        data = codec.encode(message)
    except LocalProtocolError:
        return
    found = decoded(codec, data)
    if isinstance(found, Request):
        assert isinstance(found.method, str)
        assert all(type(key) is str for key in found.params)
        assert isinstance(found.processor_id, str)
        assert 0 < found.timeout_s < math.inf
        assert found.request_id is None or isinstance(found.request_id, (int, str, bytes))


@given(st.text() | st.integers(10**300, 10**400))
@example(10**400)
def test_any_json_timeout_is_a_request_or_a_refusal(timeout: Any) -> None:
    """JSON's numbers have no end, so one can be beyond every float."""
    message = json.dumps({"method": "ping", "timeout_s": timeout}).encode()
    assert isinstance(decoded(JsonCodec(), message), (Request, BadRequest))


def test_text_that_no_codec_can_send_is_refused_in_words_that_it_can() -> None:
    """JSON can spell half a character; the refusal that quotes it must still be one that can be sent."""
    message = b'{"method": "\\ud800", "params": [], "id": "\\udfff"}'
    with pytest.raises(BadRequest) as refused:
        decode_request(JsonCodec(), message)
    answer = encode_response(JsonCodec(), refused.value.answer, refused.value.request_id)
    assert decode_response(JsonCodec(), answer).is_error


@given(codecs, st.text(), maps, st.text(), st.floats(0.001, 1e6), st.none() | st.integers(0, 2**63) | st.text(), st.text())
def test_a_request_survives_the_way_to_the_server(
    codec: Codec, method: str, params: dict[str, Any], processor_id: str, timeout_s: float, request_id: Any, trace: str
) -> None:
    """All of it but what stays on the client's side."""
    request = Request(method, params, processor_id, timeout_s, request_id=request_id, trace=trace)
    assert decode_request(codec, encode_request(codec, request)) == request


@given(codecs, maps)
def test_an_answer_survives_the_way_to_the_client(codec: Codec, body: dict[str, Any]) -> None:
    """As it is, without a request's id."""
    assert decode_response(codec, encode_response(codec, Response(body))).body == body


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_a_heartbeat_is_read_as_one(codec: Codec) -> None:
    """And its answer says what it is, so that nobody takes it for a call's."""
    assert decode_request(codec, encode_heartbeat(codec)) == Heartbeat()
    answer = codec.decode(encode_heartbeat_answer(codec))
    assert (answer["type"], answer["status"]) == ("heartbeat", "ok")


def test_an_old_request_waits_an_hour_and_means_the_first_processor() -> None:
    """Old clients say neither."""
    request = decode_request(MsgpackCodec(), MsgpackCodec().encode({"method": "ping"}), "basic")
    assert request == Request("ping", timeout_s=DEFAULT_TIMEOUT_S, framing="basic")


def test_a_basic_clients_request_that_is_passed_on_stays_one() -> None:
    """Whatever the framing of the message that it is passed on in."""
    passed_on = encode_request(MsgpackCodec(), Request("learn", framing="basic"))
    request = decode_request(MsgpackCodec(), passed_on, "improved")
    assert isinstance(request, Request)
    assert request.framing == "basic"


def test_more_than_the_limit_is_refused_undecoded() -> None:
    """With the code that says so."""
    with pytest.raises(BadRequest) as refused:
        decode_request(MsgpackCodec(), b"\xc1" * 101, limit=100)
    assert refused.value.code == "too_large"
    assert "101 bytes" in refused.value.message


@settings(max_examples=20)
@given(st.integers() | st.text() | st.lists(st.integers()))
def test_an_answer_that_is_no_map_is_the_peers_mistake(found: Any) -> None:
    """`RemoteProtocolError`, which a caller can tell from its own mistakes."""
    with pytest.raises(RemoteProtocolError):
        decode_response(JsonCodec(), json.dumps(found).encode())


def test_an_answer_that_is_no_message_is_the_peers_mistake_too() -> None:
    """The error holds what came."""
    with pytest.raises(DecodeError) as raised:
        decode_response(MsgpackCodec(), b"\xc1junk")
    assert (raised.value.codec, raised.value.head, raised.value.size) == ("msgpack", b"\xc1junk", 5)


def test_the_request_id_is_added_to_answers_with_a_status_only() -> None:
    """And an answer that was given is not changed by it."""
    codec = MsgpackCodec()
    body = {"status": "okay"}
    assert codec.decode(encode_response(codec, Response(body), 7)) == {"status": "okay", "request_id": 7}
    assert body == {"status": "okay"}
    assert codec.decode(encode_response(codec, Response({"gene": 1}), 7)) == {"gene": 1}
    assert codec.decode(encode_response(codec, Response(body), 0)) == {"status": "okay", "request_id": 0}


def test_an_answer_that_cannot_be_carried_becomes_an_error_answer() -> None:
    """What a codec does not know, and what is over the limit."""
    codec = MsgpackCodec()
    unspeakable = decode_response(codec, encode_response(codec, Response({"status": "okay", "value": object()})))
    assert unspeakable.body["code"] == "internal"
    big = decode_response(codec, encode_response(codec, Response({"status": "okay", "value": "x" * 100}), limit=50))
    assert big.body["code"] == "too_large"


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 2**70, "\ud800"], ids=["an object", "a set", "too big", "half a character"]
)
def test_params_that_cannot_be_carried_are_the_callers_mistake(value: Any) -> None:
    """`LocalProtocolError`: nothing was sent."""
    with pytest.raises(LocalProtocolError, match="msgpack"):
        encode_request(MsgpackCodec(), Request("m", {"value": value}))
