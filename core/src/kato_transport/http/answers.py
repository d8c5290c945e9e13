"""Answers of a service as answers of HTTP: the status for each error code, and bodies as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from kato_transport.codecs.json import JsonCodec
from kato_transport.compression import compressed
from kato_transport.contracts import Codec
from kato_transport.errors import LocalProtocolError
from kato_transport.http.coding import coding_headers
from kato_transport.model import ErrorCode
from kato_transport.model import Response as Answer

STATUS: Mapping[str, int] = {
    ErrorCode.UNKNOWN_METHOD: 404,
    ErrorCode.INVALID_PARAMS: 400,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.BUSY: 503,
    ErrorCode.DEADLINE_EXCEEDED: 504,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.CONNECTION_LOST: 502,
    ErrorCode.INTERNAL: 500,
}

RETRY_AFTER = {"retry-after": "1"}
JSON = JsonCodec()


class Refusal(Exception):
    """Ends a request with an error answer."""

    def __init__(self, status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers
        super().__init__(message)

    @classmethod
    def of(cls, message: str, code: str) -> Refusal:
        """The refusal that a service's error answer stands for."""
        return cls(STATUS.get(code, 500), message, code)

    @property
    def response(self) -> Response:
        return encoded(Answer.error(self.message, self.code).body, self.status, headers=self.headers)


class Encoded(Response):
    """A body that is there, and its headers as they are to be sent: a `Response` without looking for what it is not told."""

    def __init__(self, content: bytes, status: int, headers: Mapping[str, str] | None, content_type: str) -> None:
        self.status_code, self.media_type, self.background = status, content_type, None
        self.body = content
        self.raw_headers = [(b"content-length", b"%d" % len(content)), (b"content-type", content_type.encode())]
        if headers:
            self.raw_headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def encoded(
    body: Mapping[str, Any],
    status: int = 200,
    codec: Codec = JSON,
    headers: Mapping[str, str] | None = None,
    accept: str = "",
) -> Response:
    """A map as an HTTP answer, compressed as `accept` names it; one that the codec cannot carry (JSON: bytes, NaN) becomes a
    500 that says so."""
    try:
        content = codec.encode(body)
    except LocalProtocolError as exc:
        status, content = 500, codec.encode(Answer.error(f"the answer {exc}"[:500]).body)
    if status == 503:
        headers = {**(headers or {}), **RETRY_AFTER}
    if accept:
        content = compressed(content, accept)
        headers = {**(headers or {}), **coding_headers(content)}
    return Encoded(content, status, headers, codec.content_type)
