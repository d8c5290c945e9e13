"""Requests and answers as frames: `[correlation, buffer..., message]`."""

from __future__ import annotations

from collections.abc import Sequence

import zmq
from attrs import evolve

from kato_transport import Codec, Request, Response
from kato_transport.wire import decode_response, encode_request
from kato_transport.zeromq import uncopied
from kato_transport_zmq_improved.negotiation import Abilities

Frames = list[bytes | zmq.Frame]


def request_frames(codec: Codec, request: Request, limit: int, abilities: Abilities, left_s: float | None = None) -> Frames:
    """What follows the correlation; raises as `encode_request`."""
    if abilities.compression:
        request = evolve(request, compression=abilities.compression, accept=abilities.compression)
    if not abilities.buffers:
        return [encode_request(codec, request, limit, left_s)]
    buffers: list[bytes] = []
    message = encode_request(codec, request, limit, left_s, buffers)
    return [*map(uncopied, buffers), message] if buffers else [message]


def response_in(codec: Codec, frames: Sequence[bytes], limit: int) -> Response:
    """The answer in all the frames that came; raises as `decode_response`."""
    return decode_response(codec, frames[-1], limit, frames[1:-1])
