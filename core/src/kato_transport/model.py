"""The messages of a call: one `Request`, one `Response`.

A client's `request` and a server's service have the same shape, `Request -> Response`, so anything that has the one can
stand where the other is asked for: a gateway is one transport's server given another transport's client.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Flag, StrEnum, auto
from typing import Any, Literal

from attrs import Factory, frozen

from kato_transport.errors import RemoteError, ServerBusy

Framing = Literal["basic", "improved"]
"""Which column of KATO's message table an answer is written in; a server takes it from how the request was framed."""

RequestId = int | str | bytes | None


class Capability(Flag):
    """What a transport promises; the conformance kit holds it to each flag."""

    NONE = 0
    REQUEST_REPLY = auto()
    """Calls: `connect` and `serve`."""
    MULTIPLEX = auto()
    """Many requests in flight on one connection; a slow one does not hold up the others."""
    HEARTBEAT = auto()
    """A silent peer is noticed without a call."""
    SUBSCRIBE = auto()
    """One-way event stream: `subscribe`."""
    REPLAY = auto()
    """Missed events can be asked for again."""


class ErrorCode(StrEnum):
    """The `code` of an error answer."""

    UNKNOWN_METHOD = "unknown_method"
    INVALID_PARAMS = "invalid_params"
    NOT_FOUND = "not_found"
    BUSY = "busy"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    TOO_LARGE = "too_large"
    UNAUTHENTICATED = "unauthenticated"
    UNAVAILABLE = "unavailable"
    """A gateway's or proxy's own upstream cannot be reached: not run."""
    CONNECTION_LOST = "connection_lost"
    """The connection of a gateway or proxy to its upstream broke: the call may have run."""
    INTERNAL = "internal"


@frozen
class Request:
    """One call, as the caller makes it and as the service sees it."""

    method: str
    params: Mapping[str, Any] = Factory(dict)
    processor_id: str = ""
    """Which of a server's processors is meant; empty: the server's first."""
    timeout_s: float = 5.0
    """Seconds the caller goes on waiting, as a gRPC deadline travels; work past it is not started."""
    framing: Framing = "improved"
    request_id: RequestId = None
    """Old clients' `id`; comes back in the answer as `request_id`."""
    trace: str = ""
    """W3C traceparent, passed on untouched."""
    idempotent: bool = False
    """Running it twice does no harm, so a client may send it again; stays on the client's side."""


@frozen
class Response:
    """One answer: `body` is the map that goes on the wire, with its `status`."""

    body: Mapping[str, Any]

    @classmethod
    def okay(cls, **fields: Any) -> Response:
        return cls({"status": "okay", **fields})

    @classmethod
    def error(cls, message: str, code: str = ErrorCode.INTERNAL) -> Response:
        return cls({"status": "error", "message": message, "code": str(code)})

    @property
    def is_error(self) -> bool:
        return self.body.get("status") == "error"

    def result(self, method: str) -> dict[str, Any]:
        """The body as a dict; raises `RemoteError` (`ServerBusy` for the code `busy`) where it is an error."""
        if not self.is_error:
            return self.body if isinstance(self.body, dict) else dict(self.body)
        code = str(self.body.get("code", ErrorCode.INTERNAL))
        kind = ServerBusy if code == ErrorCode.BUSY else RemoteError
        raise kind(method, str(self.body.get("message", "")), code)
