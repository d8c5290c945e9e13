"""What files of recorded events hold: batches as a live socket brought them, an answer of a replay endpoint, or one payload.

A recording of live batches is a MessagePack list of `[topic, sequence, payload]`; one of a replay is
`[request frames, [reply frames, …]]`; a payload is what an engine sent, by itself. The shapes exclude each other, so that a
file says which it is.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen
from msgspec import MsgspecError
from msgspec.msgpack import Decoder

from kato_transport_kv_events.wire import END

SHORTEST_REPLY: Final = 3
"""An empty frame, the number, the payload; later versions have a topic before the number."""

_live: Final = Decoder(list[tuple[bytes, int, bytes]]).decode
_replay: Final = Decoder(tuple[list[bytes], list[list[bytes]]]).decode


@frozen
class Recorded:
    """One batch of a file; what the file does not say is None."""

    sequence: int | None
    topic: str | None
    payload: bytes


def read_recording(data: bytes) -> list[Recorded]:
    """The batches in a file; bytes of no other shape are a payload, for its decoder to complain of."""
    for read in (_live_batches, _replayed_batches):
        try:
            return read(data)
        except (MsgspecError, ValueError, RecursionError):
            continue
    return [Recorded(None, None, data)]


def _live_batches(data: bytes) -> list[Recorded]:
    return [Recorded(sequence, _text(topic), payload) for topic, sequence, payload in _live(data)]


def _replayed_batches(data: bytes) -> list[Recorded]:
    _, replies = _replay(data)
    return [_replayed(frames) for frames in replies if frames[-2:-1] != [END]]


def _replayed(frames: list[bytes]) -> Recorded:
    if len(frames) < SHORTEST_REPLY:
        raise ValueError("a reply of too few frames")
    topic = _text(frames[-3]) if len(frames) > SHORTEST_REPLY else None
    return Recorded(int.from_bytes(frames[-2], "big"), topic, frames[-1])


def _text(topic: bytes) -> str:
    return topic.decode(errors="replace")
