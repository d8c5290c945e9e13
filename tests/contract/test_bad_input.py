"""What is no request earns an error answer, in the envelope it came in, and the server goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import msgpack
import pytest
import zmq

import kato_transport as kt

from .conftest import Peer
from .doubles import ScriptedProcessor, observation
from .raw import RawClient

GARBAGE = {
    "an empty frame": b"",
    "text": b"hello, server",
    "JSON": b'{"method": "ping"}',
    "a truncated map": msgpack.packb({"method": "ping", "params": {}})[:-3],
    "two messages in one": msgpack.packb({"method": "ping"}) * 2,
    "a map that claims four billion keys": b"\xdf\xff\xff\xff\xff",
    "a text that claims four gigabytes": b"\xdb\xff\xff\xff\xffx",
    "a byte that MessagePack never uses": b"\xc1",
    "a thousand nested arrays": b"\x91" * 1000,
    "a list": msgpack.packb(["ping", {}]),
    "a number": msgpack.packb(42),
    "null": msgpack.packb(None),
    "bytes": msgpack.packb(b"ping"),
    "text that is not UTF-8": b"\xa2\xff\xfe",
    "an unknown extension": msgpack.packb(msgpack.ExtType(99, b"?")),
}

MISFITS: dict[str, dict[Any, Any]] = {
    "an empty map": {},
    "no method": {"params": {}},
    "a method that is a number": {"method": 5},
    "a method that is null": {"method": None},
    "a method that is bytes": {"method": b"ping"},
    "a method that is a list": {"method": ["ping"]},
    "keys that are bytes": {b"method": "ping"},
    "keys that are numbers": {1: 2},
    "params that are a list": {"method": "get_stm", "params": []},
    "params that are text": {"method": "get_stm", "params": "x"},
    "params that are false": {"method": "get_stm", "params": False},
    "params with a number for a key": {"method": "get_stm", "params": {1: 2}},
    "a processor that is a number": {"method": "get_stm", "processor_id": 9},
    "a timeout that is text": {"method": "get_stm", "timeout_s": "soon"},
    "a timeout of nothing": {"method": "get_stm", "timeout_s": 0},
    "a timeout that is no number": {"method": "get_stm", "timeout_s": float("nan")},
    "another type": {"type": "shutdown"},
}


DEPTHS = (900, 960, 1000, 1020)
"""MessagePack takes 1,024; somewhere below, Python's own recursion ends, depending on how deep the caller stands already."""


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\x00"


def goes_on(peer: Peer) -> bool:
    """Whether the same client, and one that comes new, are served as ever."""
    with RawClient(peer.client.socket.type, peer.server.endpoint) as newcomer:
        answers = [peer.client.ask("ping")["message"], newcomer.ask("get_name")["message"]]
    return answers == ["pong", "Scripted"]


@pytest.mark.parametrize("message", GARBAGE.values(), ids=list(GARBAGE))
def test_what_is_not_a_messagepack_map_is_answered_with_an_error(peer: Peer, message: bytes) -> None:
    """One that says what was expected, and holds no traceback."""
    peer.client.socket.send(message)
    answer = peer.client.answer()
    assert set(answer) == {"status", "message", "code"}
    assert (answer["status"], answer["code"]) == ("error", "invalid_params")
    assert "Traceback" not in answer["message"]
    assert goes_on(peer)


@pytest.mark.parametrize("message", MISFITS.values(), ids=list(MISFITS))
def test_a_map_that_is_no_request_is_answered_with_an_error(peer: Peer, message: dict[Any, Any]) -> None:
    """Whatever is wrong with it."""
    peer.client.send(message)
    answer = peer.client.answer()
    assert (answer["status"], answer["code"]) == ("error", "invalid_params")
    assert goes_on(peer)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("key", ["method", "params", "once", "processor_id", "timeout_s"])
def test_a_deep_value_in_place_of_another_is_answered_with_an_error(peer: Peer, key: str, depth: int) -> None:
    """One that is told without looking through it."""
    method = b"" if key == "method" else msgpack.packb("method") + msgpack.packb("get_stm")
    peer.client.socket.send(bytes([0x81 + bool(method)]) + method + msgpack.packb(key) + nested(depth))
    answer = peer.client.answer()
    assert (answer["status"], answer["code"]) == ("error", "invalid_params")
    assert goes_on(peer)


@pytest.mark.parametrize("depth", [depth - 10 for depth in DEPTHS])
@pytest.mark.parametrize("item", [b"", b"\x81" + msgpack.packb("method")], ids=["as a call", "as its method"])
def test_a_deep_value_in_a_batch_is_an_error_in_its_place(peer: Peer, item: bytes, depth: int) -> None:
    """And the calls beside it are answered."""
    calls = b"\x92" + item + nested(depth) + msgpack.packb({"method": "ping"})
    peer.client.socket.send(
        b"\x82"
        + msgpack.packb("method")
        + msgpack.packb("batch")
        + msgpack.packb("params")
        + b"\x81"
        + msgpack.packb("calls")
        + calls
    )
    first, second = peer.client.answer()["answers"]
    assert (first["status"], first["code"]) == ("error", "invalid_params")
    assert second["message"] == "pong"
    assert goes_on(peer)


def test_random_bytes_are_answered_one_by_one(peer: Peer) -> None:
    """A hundred of them, and the answers stay in step."""
    for size in range(100):
        peer.client.socket.send(os.urandom(size))
        assert peer.client.answer()["status"] in ("error", "okay")
    assert goes_on(peer)


def test_a_message_of_twenty_frames_is_refused(peer: Peer) -> None:
    """In the envelope it came in, which is whatever stood before its last frame."""
    peer.client.socket.send_multipart([b"frame"] * 19 + [msgpack.packb({"method": "ping"})])
    answer = msgpack.unpackb(peer.client.frames()[-1])
    assert (answer["status"], answer["code"]) == ("error", "invalid_params")
    assert "frames" in answer["message"]
    assert goes_on(peer)


def test_a_message_of_a_thousand_frames_is_refused_just_the_same(peer: Peer) -> None:
    """And costs nobody else anything."""
    peer.client.socket.send_multipart([b""] * 1000)
    assert msgpack.unpackb(peer.client.frames()[-1])["status"] == "error"
    assert goes_on(peer)


@pytest.mark.parametrize(
    "envelope",
    [[b"id"], [b"id", b"more"], [b"", b""], [b"", b"id"], [b"\x00" * 255]],
    ids=["one", "two", "empties", "mixed", "long"],
)
def test_whatever_lies_between_identity_and_message_is_echoed_untouched(
    improved: kt.RunningServer, raw: Callable[[int, str], RawClient], envelope: list[bytes]
) -> None:
    """And anything but one empty frame means the improved column."""
    client = raw(zmq.DEALER, improved.endpoint)
    client.socket.send_multipart([*envelope, msgpack.packb({"method": "get_stm"})])
    *echoed, message = client.frames()
    assert echoed == envelope
    assert msgpack.unpackb(message) == {"status": "okay", "short_term_memory": [["c"]]}


def test_one_empty_frame_before_the_message_means_the_basic_column(
    improved: kt.RunningServer, raw: Callable[[int, str], RawClient]
) -> None:
    """A DEALER that plays REQ is answered as one."""
    client = raw(zmq.DEALER, improved.endpoint)
    client.socket.send_multipart([b"", msgpack.packb({"method": "get_stm"})])
    delimiter, message = client.frames()
    assert delimiter == b""
    assert msgpack.unpackb(message) == {"status": "okay", "data": [["c"]]}


def test_the_basic_column_is_kept_behind_a_proxy(improved: kt.RunningServer, raw: Callable[[int, str], RawClient]) -> None:
    """Which puts the identity of its own client before the empty frame."""
    proxy = raw(zmq.DEALER, improved.endpoint)
    proxy.socket.send_multipart([b"client", b"", msgpack.packb({"method": "get_stm"})])
    *envelope, message = proxy.frames()
    assert envelope == [b"client", b""]
    assert msgpack.unpackb(message) == {"status": "okay", "data": [["c"]]}


def test_a_message_over_the_limit_is_refused_and_its_sender_served_on(
    closing: ExitStack, processor: ScriptedProcessor, raw: Callable[[int, str], RawClient]
) -> None:
    """With a code of its own, on both transports."""
    for transport, kind in (("basic", zmq.REQ), ("improved", zmq.DEALER)):
        server = closing.enter_context(kt.serve(processor, "tcp://127.0.0.1:0", transport=transport, max_message_bytes=10_000))
        client = raw(kind, server.endpoint)
        answer = client.ask("observe", observation("x" * 20_000, "a"))
        assert (answer["status"], answer["code"]) == ("error", "too_large")
        assert client.ask("ping")["message"] == "pong"
