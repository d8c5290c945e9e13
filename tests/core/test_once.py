"""What is kept of an answer for copies of its call: its bytes where the transport has them by themselves, else the answer."""

from __future__ import annotations

from typing import Any

import pytest

import kato_transport as kt
from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.once import OnceOnly, Sent

CODEC = MsgpackCodec()
BODIES: list[dict[str, Any]] = [
    {"status": "okay"},
    {"status": "okay", "text": "ä", "bytes": b"\x00\xff", "list": [1, -2, 2**63], "map": {"a": None, "b": 0.1}},
    {"status": "error", "message": "no such model", "code": "not_found"},
    {"time": 12},
]


class Wire:
    """Answers as they went out, encoded; `tells` what a transport tells of them."""

    def __init__(self, tells_bytes: bool) -> None:
        self.out: list[bytes] = []
        self._tells_bytes = tells_bytes

    def reply(self, answer: kt.Response) -> Sent:
        self.out.append(CODEC.encode(dict(answer.body)))
        return self.out[-1] if self._tells_bytes else len(self.out[-1])


@pytest.mark.parametrize("request_id", [None, 7])
@pytest.mark.parametrize("tells_bytes", [True, False], ids=["by its bytes", "by their number"])
@pytest.mark.parametrize("body", BODIES, ids=str)
def test_a_copy_is_answered_by_the_same_bytes(body: dict[str, Any], tells_bytes: bool, request_id: int | None) -> None:
    """However the transport told of them; and they count as what they came to."""
    once, wire = OnceOnly(CODEC, 10, 1_000_000, 60.0), Wire(tells_bytes)
    request = kt.Request("method", request_id=request_id, once=f"{once.name}.client.1")
    first = once.first(request, wire.reply)
    assert first is not None
    first(kt.Response(body))
    for _ in range(2):
        assert once.first(request, wire.reply) is None
    assert wire.out == [CODEC.encode(body)] * 3
    assert once.stats() == {"kept": 1, "kept_bytes": len(wire.out[0]), "repeats": 2, "evicted": 0}


def test_no_object_is_kept_of_an_answer_that_was_told_by_its_bytes() -> None:
    """So what is done to it later is not seen in the answer to a copy."""
    once, wire = OnceOnly(CODEC, 10, 1_000_000, 60.0), Wire(tells_bytes=True)
    request, body = kt.Request("method", once=f"{once.name}.client.1"), {"list": [1]}
    first = once.first(request, wire.reply)
    assert first is not None
    first(kt.Response(body))
    body["list"].append(2)
    once.first(request, wire.reply)
    assert wire.out == [CODEC.encode({"list": [1]})] * 2
