"""The messages of a call: one `Request`, one `Response`.

A client's `request` and a server's service have the same shape, `Request -> Response`, so anything that has the one can
stand where the other is asked for: a gateway is one transport's server given another transport's client.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Flag, StrEnum, auto
from typing import Any, ClassVar, Final, Literal

from attrs import Factory, frozen

from kato_transport.errors import DeadlineExceeded, RemoteError, ServerBusy

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
    RESTARTED = "restarted"
    """The request was made for another life of this server; not run by this one."""
    FORGOTTEN = "forgotten"
    """A repeat came after the server had let go of what it knew: nobody can tell any more whether the call ran."""
    INTERNAL = "internal"


ERRORS: Final[Mapping[str, type[RemoteError]]] = {ErrorCode.BUSY: ServerBusy, ErrorCode.DEADLINE_EXCEEDED: DeadlineExceeded}
"""What a caller can tell from other `RemoteError`s without a look at the code."""


@frozen(slots=False)  # made several times per call, and frozen attributes in slots take three times as long to set
class Request:
    """One call, as the caller makes it and as the service sees it."""

    method: str
    params: Mapping[str, Any] = Factory(dict)
    processor_id: str = ""
    """Which of a server's processors is meant; empty: the server's first."""
    timeout_s: float = 5.0
    """Seconds a connection waits for the answer."""
    beyond_s: float = 0.0
    """Seconds after `timeout_s` in which the caller may ask again. The server is told the sum, as a gRPC deadline
    travels: work past it is not started."""
    framing: Framing = "improved"
    request_id: RequestId = None
    """Old clients' `id`; comes back in the answer as `request_id`."""
    trace: str = ""
    """W3C traceparent, passed on untouched."""
    idempotent: bool = False
    """Running it twice does no harm, so a client may send it again; stays on the client's side."""
    once: str = ""
    """`SERVER.CLIENT.NUMBER`, the same for every copy of a call: a server that offers `dedupe` answers all copies with the
    answer of one run. Another server than the one named refuses it; no name: any may run it, and nothing is kept."""
    compression: str = ""
    """How the request is compressed where it is large; to be set only where the server can read it."""
    accept: str = ""
    """How the answer may be compressed where it is large."""

    def copy(
        self,
        once: str,
        timeout_s: float,
        beyond_s: float,
        compression: str = "",
        accept: str = "",
    ) -> Request:
        """A copy of the call as it is sent to one server; what `attrs.evolve` would give, at a fifth of its time."""
        copy = object.__new__(Request)
        fields = copy.__dict__
        fields.update(self.__dict__)
        fields["once"] = once
        fields["timeout_s"] = timeout_s
        fields["beyond_s"] = beyond_s
        fields["compression"] = compression
        fields["accept"] = accept
        return copy


@frozen(slots=False)
class Response:
    """One answer: `body` is the map that goes on the wire, with its `status`; not to be changed once it is given."""

    body: Mapping[str, Any]
    ran: bool = True
    """Whether the call may have run; stays on the server's side."""
    sent: ClassVar[Response | None] = None
    """The refusal that went out in its place where it could not be carried; stays on the server's side."""

    @classmethod
    def okay(cls, **fields: Any) -> Response:
        return cls({"status": "okay", **fields})

    @classmethod
    def error(cls, message: str, code: str = ErrorCode.INTERNAL) -> Response:
        return cls({"status": "error", "message": message, "code": str(code)})

    @classmethod
    def refusal(cls, message: str, code: str) -> Response:
        """An error in place of running the call: it may be asked again."""
        return cls({"status": "error", "message": message, "code": str(code)}, ran=False)

    def replaced(self, refusal: Response) -> Response:
        """The refusal, remembered as `sent`: this answer cannot be carried, and need not be kept."""
        object.__setattr__(self, "sent", refusal)
        return refusal

    @property
    def is_error(self) -> bool:
        return self.body.get("status") == "error"

    def result(self, method: str) -> dict[str, Any]:
        """The body as a dict; raises `RemoteError`, or what stands for its code in `ERRORS`, where it is an error."""
        body = self.body
        if body.get("status") != "error":
            return body if isinstance(body, dict) else dict(body)
        code = str(body.get("code", ErrorCode.INTERNAL))
        raise ERRORS.get(code, RemoteError)(method, str(body.get("message", "")), code)
