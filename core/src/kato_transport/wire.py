"""The message maps on the wire, old and new: `Request` and `Response` to maps and back.

A request is `{"method", "params"}` and may carry `id` or `request_id` (comes back as `request_id`), `processor_id`,
`timeout_s` (what is left of the caller's time) and `trace`; unknown keys are ignored. A heartbeat is
`{"type": "heartbeat", "timestamp"}`. Source: the KATO contract, "Framing", and design, "Wire".
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kato_transport.contracts import Codec
from kato_transport.errors import DecodeError, LocalProtocolError, MessageTooLarge, RemoteProtocolError
from kato_transport.model import ErrorCode, Framing, Request, RequestId, Response

DEFAULT_TIMEOUT_S = 3600.0
"""For requests of old clients, which do not say how long they wait."""


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


def encode_request(codec: Codec, request: Request, limit: int = sys.maxsize, left_s: float | None = None) -> bytes:
    """The request's bytes; `LocalProtocolError` where its params cannot be carried, `MessageTooLarge` over `limit`.

    `left_s` is what is left of the caller's time by now, where that is less than the request's.
    """
    timeout_s = request.timeout_s if left_s is None else max(left_s, 0.001)
    message: dict[str, Any] = {"method": request.method, "params": _as_dict(request.params), "timeout_s": timeout_s}
    if request.processor_id:
        message["processor_id"] = request.processor_id
    if request.request_id is not None:
        message["id"] = request.request_id
    if request.trace:
        message["trace"] = request.trace
    data = codec.encode(message)
    if len(data) > limit:
        raise MessageTooLarge(request.method, len(data), limit)
    return data


def decode_request(codec: Codec, data: bytes, framing: Framing = "improved", limit: int = sys.maxsize) -> Request | Heartbeat:
    """The request in a message; `BadRequest` says what is wrong with it. More than `limit` bytes are not decoded."""
    if not data:
        raise BadRequest("empty message; expected a map with method and params")
    if len(data) > limit:
        raise BadRequest(f"message of {len(data)} bytes; this server takes {limit}", code=ErrorCode.TOO_LARGE)
    try:
        message = codec.decode(data)
    except DecodeError as exc:
        raise BadRequest(f"message is {exc}") from exc
    if not isinstance(message, dict):
        raise BadRequest(f"message is a {type(message).__name__}; expected a map with method and params")
    if message.get("type") == "heartbeat":
        return Heartbeat()
    return request_from_map(message, framing)


def request_from_map(message: Mapping[Any, Any], framing: Framing = "improved") -> Request:
    """The request in a decoded map; `BadRequest` says what is wrong with it."""
    request_id = message.get("request_id", message.get("id"))
    if not isinstance(request_id, (int, str, bytes)):
        request_id = None
    method = message.get("method")
    if not isinstance(method, str):
        raise BadRequest(f"method must be a string, not {_short(method)}", request_id)
    params = message.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict) or not all(type(key) is str for key in params):
        raise BadRequest(f"{method}: params must be a map with string keys, not {_short(params)}", request_id)
    processor_id = message.get("processor_id") or ""
    if not isinstance(processor_id, str):
        raise BadRequest(f"{method}: processor_id must be a string, not {_short(processor_id)}", request_id)
    trace = message.get("trace")
    return Request(
        method=method,
        params=params,
        processor_id=processor_id,
        timeout_s=_timeout(method, message.get("timeout_s"), request_id),
        framing=framing,
        request_id=request_id,
        trace=trace if isinstance(trace, str) else "",
    )


def encode_response(codec: Codec, response: Response, request_id: RequestId = None, limit: int = sys.maxsize) -> bytes:
    """The answer's bytes, with the request's id unless the answer is a bare map.

    An answer that the codec cannot carry, or of more than `limit` bytes, becomes an error answer that says so.
    """
    try:
        message = codec.encode(_with_id(response.body, request_id))
    except LocalProtocolError as exc:
        return _refusal(codec, Response.error(f"the answer {exc}"[:500], ErrorCode.INTERNAL), request_id)
    if len(message) <= limit:
        return message
    text = f"the answer of {len(message)} bytes exceeds this server's {limit}"
    return _refusal(codec, Response.error(text, ErrorCode.TOO_LARGE), request_id)


def decode_response(codec: Codec, data: bytes) -> Response:
    """The answer in a message; `RemoteProtocolError` where it is not a map."""
    message = codec.decode(data)
    if not isinstance(message, dict):
        raise RemoteProtocolError(f"the answer is a {type(message).__name__}; expected a map")
    return Response(message)


def encode_heartbeat(codec: Codec) -> bytes:
    """A heartbeat, as a client sends it."""
    return codec.encode({"type": "heartbeat", "timestamp": time.time()})


def encode_heartbeat_answer(codec: Codec) -> bytes:
    """The answer to a heartbeat: says `type`, so that KATO's own client does not take it for a call's answer."""
    return codec.encode({"type": "heartbeat", "status": "ok", "timestamp": time.time()})


def _as_dict(fields: Mapping[str, Any]) -> dict[str, Any]:
    return fields if isinstance(fields, dict) else dict(fields)


def _with_id(body: Mapping[str, Any], request_id: RequestId) -> dict[str, Any]:
    if request_id is None or "status" not in body:
        return _as_dict(body)
    return {**body, "request_id": request_id}


def _refusal(codec: Codec, refusal: Response, request_id: RequestId) -> bytes:
    """Without the id where it was the id that cannot be carried."""
    try:
        return codec.encode(_with_id(refusal.body, request_id))
    except LocalProtocolError:
        return codec.encode(Response.error("the answer cannot be sent", ErrorCode.INTERNAL).body)


def _timeout(method: str, value: Any, request_id: RequestId) -> float:
    if value is None:
        return DEFAULT_TIMEOUT_S
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= sys.float_info.max:
        raise BadRequest(f"{method}: timeout_s must be a number of seconds above 0, not {_short(value)}", request_id)
    return float(value)


def _short(value: Any) -> str:
    return repr(value)[:60]
