"""Compressed messages: what was compressed comes back, and what a peer claims or breaks costs no more than the limit."""

from __future__ import annotations

import os
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from random import Random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import kato_transport as kt
from kato_transport.codecs.json import JsonCodec
from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.compression import (
    COMPRESSIONS,
    EASY_BYTES,
    LEAST_BYTES,
    MOST_RATIO,
    Inflated,
    compressed,
    decompressed,
    installed,
    named,
)
from kato_transport.wire import BadRequest, decode_request, decode_response, encode_request, encode_response

LIMIT = 1024 * 1024
CODECS = [MsgpackCodec(), JsonCodec()]

names = st.sampled_from(COMPRESSIONS)
codecs = st.sampled_from(CODECS)
texts = st.text(max_size=40).map(lambda text: text * LEAST_BYTES)
messages = st.one_of(
    st.binary(min_size=1, max_size=2000).map(lambda piece: piece * 100),
    st.builds(lambda seed, size: Random(seed).randbytes(size), st.integers(), st.integers(1, 200_000)),
)


@pytest.fixture
def without_zstandard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where the package was not installed."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    installed.cache_clear()
    yield
    installed.cache_clear()


def packed(name: str, data: bytes) -> bytes:
    """Compressed, however small it is."""
    return zlib.compress(data) if name == "zlib" else zstandard.ZstdCompressor().compress(data)


@settings(max_examples=50)
@given(names, messages)
def test_what_is_compressed_comes_back(name: str, message: bytes) -> None:
    """Or goes as it is, where it would get no smaller; it never grows."""
    sent = compressed(message, name)
    assert len(sent) <= len(message)
    if sent is not message:
        assert named(sent) == name
        assert decompressed(sent, len(message)) == message


@given(names, st.binary(max_size=LEAST_BYTES - 1))
def test_small_messages_go_as_they_are(name: str, message: bytes) -> None:
    """There is nothing to gain."""
    assert compressed(message, name) is message


@settings(max_examples=50)
@given(names, messages, st.data())
def test_a_message_that_is_cut_off_is_damaged(name: str, message: bytes, data: st.DataObject) -> None:
    """Wherever it was cut, as long as enough is left to tell how it is compressed."""
    whole = packed(name, message)
    cut = data.draw(st.integers(4, len(whole) - 1))
    with pytest.raises(kt.DecodeError) as raised:
        decompressed(whole[:cut], LIMIT)
    assert (raised.value.codec, raised.value.size) == (name, cut)


@settings(max_examples=50)
@given(names, messages, st.binary(min_size=1, max_size=100_000))
def test_something_behind_a_message_is_damage(name: str, message: bytes, more: bytes) -> None:
    """Also a second message."""
    with pytest.raises(kt.DecodeError):
        decompressed(packed(name, message) + more, LIMIT)
    with pytest.raises(kt.DecodeError):
        decompressed(packed(name, message) * 2, LIMIT)


@settings(max_examples=200)
@given(names, st.binary(min_size=1, max_size=300), st.data())
def test_a_message_that_was_changed_is_told_by_an_error_of_this_library_or_not_at_all(
    name: str, message: bytes, data: st.DataObject
) -> None:
    """Nothing else is raised, and nothing larger than the limit comes of it."""
    damaged = bytearray(packed(name, message))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = decompressed(bytes(damaged), 10_000)
    except (kt.DecodeError, Inflated):
        return
    assert len(found) <= 10_000


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_exactly_the_limit_is_taken_and_a_byte_more_is_not(name: str) -> None:
    """The limit is the largest message."""
    message = os.urandom(1000) * 100
    assert decompressed(packed(name, message), 100_000) == message
    with pytest.raises(Inflated, match="more than 99999 bytes"):
        decompressed(packed(name, message), 99_999)


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_bomb_takes_hardly_more_memory_than_the_limit(name: str) -> None:
    """However small it came and whatever it says of itself."""
    bomb = packed(name, bytes(64 * LIMIT))
    assert len(bomb) < LIMIT
    tracemalloc.start()
    try:
        with pytest.raises(Inflated):
            decompressed(bomb, LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * LIMIT


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_message_packed_too_hard_is_too_large_whatever_the_limit(name: str) -> None:
    """It is not unpacked further than to tell, so that a small message holds nobody up for long."""
    bomb = packed(name, bytes(64 * LIMIT))
    tracemalloc.start()
    try:
        with pytest.raises(Inflated, match="when it is unpacked"):
            decompressed(bomb, 64 * LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * max(EASY_BYTES, MOST_RATIO * len(bomb))


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_up_to_a_size_a_message_may_be_packed_as_hard_as_it_can(name: str) -> None:
    """Beyond, what would be refused is sent as it is."""
    small, large = b"x" * EASY_BYTES, b"x" * (EASY_BYTES + 1)
    assert decompressed(compressed(small, name), len(small)) == small
    assert named(compressed(small, name)) == name
    assert compressed(large, name) is large
    with pytest.raises(Inflated):
        decompressed(packed(name, large), len(large))


@settings(max_examples=20, deadline=None)
@given(names, st.integers(0, 100_000), st.integers(EASY_BYTES - 1000, 3 * EASY_BYTES))
def test_whatever_is_compressed_here_is_unpacked_there(name: str, disorder: int, size: int) -> None:
    """However hard it could be packed: with more of it at random, less hard."""
    message = Random(size).randbytes(disorder) + bytes(size - disorder)
    sent = compressed(message, name)
    assert (decompressed(sent, size) if named(sent) else sent) == message


def test_a_zstd_frame_that_does_not_say_its_size_is_refused() -> None:
    """By that size it is bounded."""
    for frame in (zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 100), packed("zstd", b"")):
        with pytest.raises(kt.DecodeError, match="does not say how large"):
            decompressed(frame, LIMIT)


@given(codecs, st.dictionaries(st.text(), st.text() | st.integers(-(2**63), 2**64 - 1), max_size=20))
def test_no_map_of_the_codecs_here_looks_compressed(codec: kt.Codec, message: dict[str, object]) -> None:
    """So whether a message is compressed has to be said nowhere else."""
    assert named(codec.encode(message)) == ""


@settings(max_examples=30)
@given(names, codecs, texts)
def test_a_compressed_request_is_read_like_any_other(name: str, codec: kt.Codec, text: str) -> None:
    """What compressed it stays on the client's side; what the answer may be compressed by does not."""
    request = kt.Request("m", {"text": text}, compression=name, accept=name)
    sent = encode_request(codec, request)
    assert decode_request(codec, sent) == kt.Request("m", {"text": text}, accept=name)
    assert (named(sent) == name) == (len(text) > 0)


@settings(max_examples=30)
@given(names, codecs, texts)
def test_a_compressed_answer_is_read_like_any_other(name: str, codec: kt.Codec, text: str) -> None:
    """By whoever asked for it."""
    body = {"status": "okay", "text": text}
    sent = compressed(encode_response(codec, kt.Response(body)), name)
    assert (named(sent) == name) == (len(text) > 0)
    assert decode_response(codec, sent).body == body


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_request_over_the_limit_is_refused_however_small_it_was_made(name: str) -> None:
    """Before it is sent, and by a server that gets it nevertheless."""
    request = kt.Request("m", {"text": "x" * LIMIT}, compression=name)
    with pytest.raises(kt.MessageTooLarge):
        encode_request(MsgpackCodec(), request, LIMIT)
    with pytest.raises(BadRequest, match="when it is unpacked") as refused:
        decode_request(MsgpackCodec(), encode_request(MsgpackCodec(), request), limit=LIMIT)
    assert refused.value.code == "too_large"


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_an_answer_over_the_limit_is_the_peers_mistake(name: str) -> None:
    """And is not unpacked."""
    with pytest.raises(kt.RemoteProtocolError, match="max_message_bytes is 1000"):
        decode_response(MsgpackCodec(), packed(name, MsgpackCodec().encode({"text": "x" * 1000})), 1000)


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("harm", [lambda data: data[:-3], lambda data: data + b"!"], ids=["cut off", "with more behind it"])
def test_a_damaged_message_is_named_for_what_it_is(name: str, harm: Callable[[bytes], bytes]) -> None:
    """A bad request at the server, a `DecodeError` at the client."""
    damaged = harm(packed(name, MsgpackCodec().encode({"method": "ping"})))
    with pytest.raises(BadRequest, match=f"message is not {name}: ") as refused:
        decode_request(MsgpackCodec(), damaged)
    assert refused.value.code == "invalid_params"
    with pytest.raises(kt.DecodeError, match=f"not {name}: "):
        decode_response(MsgpackCodec(), damaged)


@pytest.mark.parametrize("accept", ["gzip", "", "ZLIB", 5, None, ["zlib"]], ids=repr)
def test_an_unknown_compression_is_not_asked_for(accept: object) -> None:
    """As an unknown key would not be."""
    request = decode_request(MsgpackCodec(), MsgpackCodec().encode({"method": "m", "accept": accept}))
    assert isinstance(request, kt.Request)
    large = b"x" * LEAST_BYTES
    assert compressed(large, request.accept) is large


@pytest.mark.usefixtures("without_zstandard")
def test_without_the_package_there_is_zlib_alone() -> None:
    """Asking for the other one says what to install; one that comes unasked is refused."""
    assert installed() == ("zlib",)
    with pytest.raises(kt.InvalidSetting, match=r"pip install 'kato-transport-core\[zstd\]'"):
        kt.ClientOptions(codec=MsgpackCodec(), compression="zstd")
    with pytest.raises(kt.InvalidSetting, match="zstandard"):
        kt.connect("memory://nobody", transport="memory", compression="zstd")
    large = b"x" * LEAST_BYTES
    assert compressed(large, "zstd") is large
    with pytest.raises(kt.DecodeError, match="not installed here"):
        decompressed(b"\x28\xb5\x2f\xfd" + bytes(20), LIMIT)


def test_a_compression_that_does_not_exist_is_refused() -> None:
    """Before anything runs."""
    with pytest.raises(kt.InvalidSetting, match="no compression named 'gzip'; there are: zlib, zstd"):
        kt.connect("memory://nobody", transport="memory", compression="gzip")
