"""The message maps on the wire, old and new: `Request` and `Response` to maps and back.

A request is `{"method", "params"}` and may carry `id` or `request_id` (comes back as `request_id`), `processor_id`,
`timeout_s` (what is left of the caller's time), `trace`, `once`, `accept` and `buffers`; unknown keys are ignored.
A heartbeat is `{"type": "heartbeat", "timestamp"}`. Source: the KATO contract, "Framing", and design, "Wire".

Transports whose messages have frames hand in a list: large bytes are put there, or taken from there, instead of travelling
in the message.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from kato_transport.buffers import KINDS, Mismatch, checked, set_apart, told
from kato_transport.compression import MARKS, Inflated, compressed, decompressed
from kato_transport.contracts import Codec
from kato_transport.errors import DecodeError, LocalProtocolError, MessageTooLarge, RemoteProtocolError
from kato_transport.model import ErrorCode, Framing, Request, RequestId, Response

DEFAULT_TIMEOUT_S = 3600.0
"""For requests of old clients, which do not say how long they wait."""

DEFAULT_LIMIT = 64 * 1024 * 1024
"""What is decoded at most where nobody says; the default of `max_message_bytes`."""

_ONCE = re.compile(r"[^.]{0,64}\.[^.]{1,64}\.[0-9a-f]{1,16}").fullmatch
"""Bounded, as a server keeps it."""

_LONGEST = sys.float_info.max
_STR = frozenset({str})


@frozen
class Heartbeat:
    """A sign of life asked for; not a call."""


class BadRequest(RemoteProtocolError):
    """A message that is no request; `answer` is the error answer it earns."""

    def __init__(self, message: str, request_id: RequestId = None, code: str = ErrorCode.INVALID_PARAMS) -> None:
        self.message = message
        self.request_id = request_id
        self.code = code
        super().__init__(message)

    @property
    def answer(self) -> Response:
        return Response.error(self.message, self.code)


def encode_request(
    codec: Codec,
    request: Request,
    limit: int = sys.maxsize,
    left_s: float | None = None,
    frames: list[bytes] | None = None,
) -> bytes:
    """The request's bytes; `LocalProtocolError` where its params cannot be carried, `MessageTooLarge` over `limit`.

    `left_s` is what is left of the caller's time by now, where that is less than the request's. `frames` takes the large
    params, and says that the answer may come in frames, too; what is to be compressed stays in the message.
    """
    timeout_s = (request.timeout_s if left_s is None else max(left_s, 0.001)) + request.beyond_s
    params = request.params if type(request.params) is dict else dict(request.params)
    message: dict[str, Any] = {"method": request.method, "params": params, "timeout_s": timeout_s}
    if frames is not None:
        message["buffers"] = []
        if not request.compression and not KINDS.isdisjoint(map(type, params.values())):
            message["params"], message["buffers"] = set_apart(params, frames)
    if request.once:
        message["once"] = request.once
    if request.accept:
        message["accept"] = request.accept
    if request.processor_id:
        message["processor_id"] = request.processor_id
    if request.request_id is not None:
        message["id"] = request.request_id
    if request.trace:
        message["trace"] = request.trace
    data = codec.encode(message)
    if (size := _size(data, frames) if frames else len(data)) > limit:
        raise MessageTooLarge(request.method, size, limit)
    return compressed(data, request.compression) if request.compression else data


def decode_request(codec: Codec, data: bytes, framing: Framing = "improved", limit: int = DEFAULT_LIMIT) -> Request | Heartbeat:
    """The request in a message; `BadRequest` says what is wrong with it. More than `limit` bytes are not decoded."""
    message = decode_message(codec, data, limit)
    if message.get("type") == "heartbeat":
        return Heartbeat()
    return request_from_map(message, framing)


def decode_message(codec: Codec, data: bytes, limit: int = DEFAULT_LIMIT) -> dict[Any, Any]:
    """The map in a message to a server, whatever is in it; otherwise as `decode_request`."""
    if not data:
        raise BadRequest("empty message; expected a map with method and params")
    if len(data) > limit:
        raise BadRequest(f"message of {len(data)} bytes; this server takes {limit}", code=ErrorCode.TOO_LARGE)
    try:
        if data[0] in MARKS:
            data = decompressed(data, limit)
        message = codec.decode(data)
    except Inflated as exc:
        raise BadRequest(str(exc), code=ErrorCode.TOO_LARGE) from exc
    except DecodeError as exc:
        raise BadRequest(f"message is {exc}") from exc
    if not isinstance(message, dict):
        raise BadRequest(f"message is a {type(message).__name__}; expected a map with method and params")
    return message


def take_buffers(message: dict[Any, Any], envelope: list[bytes], limit: int) -> None:
    """Move the buffers that a message names from the end of its envelope into its params.

    `BadRequest` where names and frames do not go together, or the frames come to more than `limit` bytes; the envelope is
    then shortened as far as it is clear which frames are buffers.
    """
    request_id, params = _request_id(message), message.get("params")
    fields = params if isinstance(params, dict) else {}
    try:
        names = checked(message["buffers"], fields)
    except Mismatch as exc:
        raise BadRequest(str(exc), request_id) from exc
    count = len(names)
    if count >= len(envelope):
        raise BadRequest(f"{count} buffers are named; {len(envelope) - 1} frames came before the message", request_id)
    buffers = envelope[-count:]
    del envelope[-count:]
    size = sum(map(len, buffers))
    if size > limit:
        raise BadRequest(f"buffers of {size} bytes; this server takes {limit} more", request_id, ErrorCode.TOO_LARGE)
    message["buffers"] = []
    if params is None or params is fields:
        message["params"] = {**fields, **dict(zip(names, buffers, strict=True))}


def request_from_map(message: Mapping[Any, Any], framing: Framing = "improved") -> Request:
    """The request in a decoded map, whose buffers have been taken; `BadRequest` says what is wrong with it."""
    request_id = _request_id(message)
    if message.get("buffers"):
        raise BadRequest("the message names buffers; this transport carries none", request_id)
    method = message.get("method")
    if not isinstance(method, str):
        raise BadRequest(f"method must be a string, not {_short(method)}", request_id)
    params = message.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict) or not _STR.issuperset(map(type, params)):
        raise BadRequest(f"{method}: params must be a map with string keys, not {_short(params)}", request_id)
    processor_id = message.get("processor_id") or ""
    if not isinstance(processor_id, str):
        raise BadRequest(f"{method}: processor_id must be a string, not {_short(processor_id)}", request_id)
    once = message.get("once") or ""
    if once and not (isinstance(once, str) and _ONCE(once)):
        raise BadRequest(f"{method}: once must read SERVER.CLIENT.NUMBER, not {_short(once)}", request_id)
    timeout_s = _timeout(method, message.get("timeout_s"), request_id)
    trace, accept = message.get("trace"), message.get("accept")
    trace = trace if isinstance(trace, str) else ""
    accept = accept if isinstance(accept, str) else ""
    return Request(method, params, processor_id, timeout_s, 0.0, framing, request_id, trace, False, once, "", accept)


def encode_response(
    codec: Codec,
    response: Response,
    request_id: RequestId = None,
    limit: int = sys.maxsize,
    frames: list[bytes] | None = None,
) -> bytes:
    """The answer's bytes, with the request's id unless the answer is a bare map; `frames` takes its large fields.

    An answer that the codec cannot carry, or of more than `limit` bytes, becomes an error answer that says so. It is not
    compressed yet, as the answer's size is what its bytes come to here.
    """
    body = response.body if type(response.body) is dict else dict(response.body)
    try:
        if request_id is not None and "status" in body:
            body = {**body, "request_id": request_id}
        if frames is not None and not KINDS.isdisjoint(map(type, body.values())):
            body = _apart(body, frames)
        message = codec.encode(body)
    except LocalProtocolError as exc:
        refusal = response.replaced(Response.error(f"the answer {exc}"[:500], ErrorCode.INTERNAL))
        return _refusal(codec, refusal, request_id, frames)
    if (size := _size(message, frames) if frames else len(message)) <= limit:
        return message
    text = f"the answer of {size} bytes exceeds this server's {limit}"
    return _refusal(codec, response.replaced(Response.error(text, ErrorCode.TOO_LARGE)), request_id, frames)


def decode_response(codec: Codec, data: bytes, limit: int = DEFAULT_LIMIT, frames: Sequence[bytes] = ()) -> Response:
    """The answer in a message, and in the `frames` that came with it; `RemoteProtocolError` where it is not a map.

    More than `limit` bytes are neither unpacked nor taken from frames.
    """
    if data and data[0] in MARKS:
        data = decompressed(data, limit)
    message = codec.decode(data)
    if not isinstance(message, dict):
        raise RemoteProtocolError(f"the answer is a {type(message).__name__}; expected a map")
    if frames:
        _join(message, frames, limit - len(data))
    return Response(message)


def encode_heartbeat(codec: Codec) -> bytes:
    """A heartbeat, as a client sends it."""
    return codec.encode({"type": "heartbeat", "timestamp": time.time()})


def encode_heartbeat_answer(codec: Codec) -> bytes:
    """The answer to a heartbeat: says `type`, so that KATO's own client does not take it for a call's answer."""
    return codec.encode({"type": "heartbeat", "status": "ok", "timestamp": time.time()})


def _request_id(message: Mapping[Any, Any]) -> RequestId:
    request_id = message.get("request_id", message.get("id"))
    return request_id if isinstance(request_id, (int, str, bytes)) else None


def _apart(body: dict[str, Any], frames: list[bytes]) -> dict[str, Any]:
    """What stays in the message of an answer; one that has a field of the name itself keeps all its bytes."""
    if "buffers" in body:
        return body
    body, names = set_apart(body, frames)
    return {**body, "buffers": names} if names else body


def _join(body: dict[str, Any], frames: Sequence[bytes], limit: int) -> None:
    names = body.pop("buffers", [])
    try:
        names = checked(names, body)
    except Mismatch as exc:
        raise RemoteProtocolError(f"the answer's {exc}") from exc
    if len(names) != len(frames):
        raise RemoteProtocolError(f"the answer names {len(names)} buffers, and {len(frames)} came")
    size = sum(map(len, frames))
    if size > limit:
        raise RemoteProtocolError(f"the answer's buffers of {size} bytes exceed max_message_bytes")
    body.update(zip(names, frames, strict=True))


def _size(message: bytes, frames: Sequence[bytes]) -> int:
    return len(message) + sum(map(len, frames))


def _refusal(codec: Codec, refusal: Response, request_id: RequestId, frames: list[bytes] | None) -> bytes:
    """Without the id where it was the id that cannot be carried."""
    if frames:
        frames.clear()
    try:
        return codec.encode(refusal.body if request_id is None else {**refusal.body, "request_id": request_id})
    except LocalProtocolError:
        return codec.encode(Response.error("the answer cannot be sent", ErrorCode.INTERNAL).body)


def _timeout(method: str, value: Any, request_id: RequestId) -> float:
    if value is None:
        return DEFAULT_TIMEOUT_S
    if type(value) not in (float, int) or not 0 < value <= _LONGEST:
        raise BadRequest(f"{method}: timeout_s must be a number of seconds above 0, not {_short(value)}", request_id)
    return float(value)


def _short(value: Any) -> str:
    return told(value)
