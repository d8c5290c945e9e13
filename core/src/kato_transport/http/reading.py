"""What a client sends, read by llhttp: its requests, for whoever takes them, and what to answer where it is none."""

from __future__ import annotations

from typing import Final, Protocol

import httptools

from kato_transport.http.answers import Refusal
from kato_transport.http.incoming import Incoming
from kato_transport.model import ErrorCode

MAX_HEAD_BYTES: Final = 65_536
"""Of a request's head, or of anything else that brings a request no further; what is read at once may come on top."""

MAX_UNREAD_BYTES: Final = 65_536
"""Of a body that its handler does not read: more is left to TCP."""

_LONG_HEAD: Final = Refusal(431, f"the request's headers exceed {MAX_HEAD_BYTES} bytes", ErrorCode.TOO_LARGE)
_NOTED: Final = frozenset((b"host", b"expect", b"transfer-encoding", b"upgrade"))
_USUAL: Final = [b"host"]
_LENGTH: Final = (b"content-length", b"transfer-encoding")


class Taker(Protocol):
    """Who is told of requests while they come."""

    def begun(self, request: Incoming) -> None:
        """Its head is there."""

    def filled(self) -> None:
        """More of a body has come than is kept."""

    def ended(self, request: Incoming) -> None:
        """Its body is there, too."""

    def go_on(self, request: Incoming) -> None:
        """More of its body is wanted."""


class RequestReader:
    """Reads one connection. What is public and begins with `on_` is for llhttp."""

    def __init__(self, taker: Taker) -> None:
        self._taker = taker
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._noted: list[bytes] = []  # of the headers' names, those that matter here
        self._asks_to_go_on = False
        self._changes_protocol = False  # says llhttp, and does not read the body
        self._unfruitful = 0  # bytes since the last that brought a request further
        self.coming: Incoming | None = None
        """Whose body is being read."""

    def feed(self, data: bytes) -> Refusal | None:
        """What to answer where this is no request; nothing can be read behind it."""
        self._unfruitful += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as exc:
            reason = exc.__context__
            return reason if isinstance(reason, Refusal) else _invalid(f"the request is not valid HTTP: {exc}")
        return _LONG_HEAD if self._unfruitful > MAX_HEAD_BYTES else None

    def close(self) -> None:
        """Let go of the parser, which knows this."""
        del self._parser

    # --- the parser ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._target, self._headers, self._noted, self._asks_to_go_on = b"", [], [], False

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.coming is not None:  # behind a body in chunks, where nobody looks
            return
        name = name.lower()
        self._headers.append((name, value))
        if name in _NOTED:
            self._noted.append(name)

    def on_headers_complete(self) -> None:
        if self.coming is not None:  # its length, which `_stay` repeats
            return
        parser = self._parser
        method = parser.get_method().decode("ascii")
        if self._noted != _USUAL or method == "CONNECT":
            self._look_closer()
        if b"#" in self._target:
            raise _invalid("the request's target has a fragment, which is the client's alone; write %23 for #")
        path, _, query = self._target.partition(b"?")
        scope = {"type": "http", "method": method, "raw_path": path, "query_string": query, "headers": self._headers}
        keep_alive = parser.should_keep_alive() and parser.get_http_version() != "1.0" and method != "CONNECT"
        self.coming = Incoming(scope, keep_alive, self._asks_to_go_on, self._taker.go_on)
        self._unfruitful = 0
        self._taker.begun(self.coming)

    def on_body(self, piece: bytes) -> None:
        coming = self.coming
        assert coming is not None
        coming.feed(piece)
        self._unfruitful = 0
        if coming.unread > MAX_UNREAD_BYTES:
            self._taker.filled()

    def on_message_complete(self) -> None:
        if self._changes_protocol:
            return
        coming, self.coming = self.coming, None
        assert coming is not None
        coming.end()
        self._unfruitful = 0
        self._taker.ended(coming)

    # --- what few requests have ---------------------------------------------------------------------------------

    def _parse(self, data: bytes | memoryview) -> None:
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0] :]
                self._stay()
            else:
                return

    def _stay(self) -> None:
        """Another protocol was asked for, and is not spoken here, so that a body follows as ever. llhttp would take it for the
        next request: a new parser is told its length."""
        assert self.coming is not None
        length = [name + b": " + value for name, value in self.coming.scope["headers"] if name in _LENGTH]
        self._changes_protocol = False
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"\r\n".join((b"POST / HTTP/1.1", *length, b"", b"")))

    def _look_closer(self) -> None:
        """At what RFC 9112 has refused, as two servers could read it as two things, and at what needs more than an answer."""
        if self._noted.count(b"host") != 1 and self._parser.get_http_version() == "1.1":
            raise _invalid("a request of HTTP/1.1 has one Host header")
        codings = self._values(b"transfer-encoding")
        if codings and codings != [b"chunked"]:
            raise _invalid("Transfer-Encoding is taken as one `chunked`, and nothing else")
        self._asks_to_go_on = b"100-continue" in self._values(b"expect")
        self._changes_protocol = self._parser.should_upgrade()

    def _values(self, name: bytes) -> list[bytes]:
        return [value.strip().lower() for one, value in self._headers if one == name]


def _invalid(message: str) -> Refusal:
    return Refusal(400, message, ErrorCode.INVALID_PARAMS)
