"""One client's connection: its requests, read by llhttp, are answered one after the other by one task.

What servers of ASGI make for each request, as a task, an event, a timer and messages of maps, costs more than all that a
gateway does for it. Here it is made for each connection, or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import httptools
from attrs import define, field
from starlette.responses import Response
from starlette.types import Receive, Scope

from kato_transport.http.answers import Refusal
from kato_transport.http.exchange import LINGER_S
from kato_transport.http.incoming import Incoming
from kato_transport.http.writing import CONTINUE, response_bytes, says_close
from kato_transport.model import ErrorCode

log = logging.getLogger("kato_transport.http")

MAX_HEAD_BYTES: Final = 65_536
"""Of a request's head, or of anything else that brings a request no further; what is read at once may come on top."""

MAX_UNREAD_BYTES: Final = 65_536
"""Of a body that its handler does not read: more is left to TCP."""

_INVALID: Final = Refusal(400, "the request is not valid HTTP", ErrorCode.INVALID_PARAMS)
_LONG_HEAD: Final = Refusal(431, f"the request's headers exceed {MAX_HEAD_BYTES} bytes", ErrorCode.TOO_LARGE)
_FAILED: Final = Refusal(500, "the server failed; its log says why", ErrorCode.INTERNAL)


@define(eq=False)
class Shared:
    """What a listener's connections have in common. `date` is that header's line and `now` the loop's time, both read once a
    second for all of them."""

    respond: Callable[[Scope, Receive], Awaitable[Response]]
    date: bytes = b""
    now: float = 0.0
    connections: set[HttpConnection] = field(factory=set)
    """Those that are open, or still have something to do."""


class HttpConnection(asyncio.Protocol):
    """Serves until either side hangs up."""

    transport: asyncio.Transport
    task: asyncio.Task[None]

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._coming: Incoming | None = None  # whose body is being read
        self._waiting: deque[Incoming | Refusal] = deque()  # in their order
        self._in_hand: Incoming | None = None  # whose answer is being made
        self._unfruitful = 0  # bytes since the last that brought a request further
        self._asked_to_go_on = False
        self._paused = False
        self._last = False
        self._lost = False
        self._wanted: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._idle_since = shared.now

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered, or waits for that."""
        return self._in_hand is not None or bool(self._waiting)

    def shutdown(self) -> None:
        """Hang up once what is in hand has been answered."""
        self._last = True
        if not self.is_busy:
            self.transport.close()

    def shut_if_idle(self, since: float) -> None:
        """Hang up where no request has come since then."""
        if not self.is_busy and self._idle_since < since:
            self.transport.close()

    def file_descriptor(self) -> int:
        """-1 where it is closed."""
        return -1 if self._lost else int(self.transport.get_extra_info("socket").fileno())

    # --- the transport ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._shared.connections.add(self)
        self.task = self._loop.create_task(self._answer_all())
        self.task.add_done_callback(self._ended)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._waiting.clear()
        if self._in_hand is not None:
            self._in_hand.lose()
        else:
            self.task.cancel()
        if self.task.done():
            self._shared.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._unfruitful += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:  # to a protocol that is not spoken here: so it stays with this one
            if rest := data[upgrade.args[0] :]:
                self.data_received(rest)
        except httptools.HttpParserError as exc:
            self._refuse(_INVALID, exc)
        else:
            if self._unfruitful > MAX_HEAD_BYTES:
                self._refuse(_LONG_HEAD, _LONG_HEAD)

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # --- the parser ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._target, self._headers, self._asked_to_go_on = b"", [], False

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._coming is not None:  # behind a body in chunks, where nobody looks
            return
        name = name.lower()
        self._headers.append((name, value))
        if name == b"expect" and value.lower() == b"100-continue":
            self._asked_to_go_on = True

    def on_headers_complete(self) -> None:
        parser = self._parser
        path, _, query = self._target.partition(b"?")
        scope = {
            "type": "http",
            "method": parser.get_method().decode("ascii"),
            "raw_path": path,
            "query_string": query,
            "headers": self._headers,
        }
        keep_alive = parser.should_keep_alive() and parser.get_http_version() != "1.0"
        self._coming = Incoming(scope, keep_alive, self._go_on)
        self._unfruitful = 0
        self._queue(self._coming)

    def on_body(self, piece: bytes) -> None:
        coming = self._coming
        assert coming is not None
        coming.feed(piece)
        self._unfruitful = 0
        if coming.unread > MAX_UNREAD_BYTES:
            self._pause_reading()

    def on_message_complete(self) -> None:
        coming, self._coming = self._coming, None
        assert coming is not None
        coming.end()
        self._unfruitful = 0
        if coming.answered:
            if self._last:
                self.transport.close()
        elif self._in_hand is not None and self._in_hand is not coming:  # enough for now
            self._pause_reading()

    # --- reading ------------------------------------------------------------------------------------------------

    def _queue(self, item: Incoming | Refusal) -> None:
        self._waiting.append(item)
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    def _refuse(self, refusal: Refusal, exc: Exception) -> None:
        """What came is no request: say so when it is its turn, and hang up."""
        log.warning("Invalid HTTP request: %s", exc)
        coming, self._last = self._coming, True
        self._pause_reading()
        if coming is None:
            self._queue(refusal)
        elif coming.answered:
            self.transport.close()
        elif coming is self._in_hand:
            coming.lose()
            self._write(refusal.response, with_body=True, keep_alive=False)
            self.transport.close()
        else:
            self._waiting.pop()
            self._queue(refusal)

    def _go_on(self) -> None:
        """The body of the request in hand is wanted."""
        if self._asked_to_go_on and not self.transport.is_closing():
            self._asked_to_go_on = False
            self.transport.write(CONTINUE)
        self._resume_reading()

    def _pause_reading(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    # --- answering ----------------------------------------------------------------------------------------------

    async def _answer_all(self) -> None:
        while not self._lost:
            if not self._waiting:
                self._resume_reading()
                self._idle_since = self._shared.now
                self._wanted = self._loop.create_future()
                await self._wanted
                self._wanted = None
            item = self._waiting.popleft()
            if isinstance(item, Refusal):
                self._write(item.response, with_body=True, keep_alive=False)
                self.transport.close()
                return
            self._in_hand = item
            response = await self._shared.respond(item.scope, item.receive)
            self._in_hand = None
            if self.transport.is_closing():
                return
            self._answer(item, response)
            if self._writable is not None:
                await self._writable

    def _answer(self, request: Incoming, response: Response) -> None:
        request.drop()
        self._last = self._last or not request.keep_alive or says_close(response)
        self._write(response, with_body=request.scope["method"] != "HEAD", keep_alive=not self._last)
        if not self._last:
            return
        if request.complete:
            self.transport.close()
        else:
            self._resume_reading()
            self._loop.call_later(LINGER_S, self.transport.close)

    def _write(self, response: Response, with_body: bool, keep_alive: bool) -> None:
        date = self._shared.date
        try:
            data = response_bytes(response, date, with_body, keep_alive)
        except ValueError:
            log.exception("an answer cannot be sent")
            data = response_bytes(_FAILED.response, date, with_body, keep_alive)
        self.transport.write(data)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._lost:
            self._shared.connections.discard(self)
        del self._parser  # which knows this
        if not task.cancelled() and task.exception() is not None:
            log.error("a connection was given up", exc_info=task.exception())
            self.transport.abort()
