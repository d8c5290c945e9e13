"""A response as the bytes of HTTP/1.1."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.responses import Response

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = b"connection: close\r\n"
_STATUS_LINES: Final = {int(status): f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


def response_bytes(response: Response, date: bytes, with_body: bool, keep_alive: bool) -> bytes:
    """`date` is that header's line; `ValueError` where a header has a line's end in it, which would make it two."""
    lines = [_STATUS_LINES.get(response.status_code) or b"HTTP/1.1 %d \r\n" % response.status_code, date]
    for name, value in response.raw_headers:
        lines += (name, b": ", value, b"\r\n")
        keep_alive = keep_alive or name == b"connection"  # it says so itself
    if not keep_alive:
        lines.append(_CLOSE)
    head = b"".join(lines)
    ends = 2 + len(response.raw_headers) + (lines[-1] is _CLOSE)
    if head.count(b"\n") != ends or head.count(b"\r") != ends:
        raise ValueError(f"a header of the answer has a line's end in it: {head[:200]!r}")
    return b"".join((head, b"\r\n", response.body)) if with_body else head + b"\r\n"


def says_close(response: Response) -> bool:
    """Whether the connection ends with this response."""
    return (b"connection", b"close") in response.raw_headers
