"""One client's connection: its requests are answered one after the other by one task.

What servers of ASGI make for each request, as a task, an event, a timer and messages of maps, costs more than all that a
gateway does for it. Here it is made for each connection, or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from attrs import define, field
from starlette.responses import Response
from starlette.types import Receive, Scope

from kato_transport.http.answers import Refusal
from kato_transport.http.exchange import LINGER_S
from kato_transport.http.incoming import Incoming
from kato_transport.http.reading import RequestReader
from kato_transport.http.writing import CONTINUE, response_bytes, says_close
from kato_transport.model import ErrorCode

log = logging.getLogger("kato_transport.http")

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
        self._reader = RequestReader(self)
        self._waiting: deque[Incoming | Refusal] = deque()  # in their order
        self._in_hand: Incoming | None = None  # whose answer is being made
        self._paused = False
        self._last = False
        self._at_end = False  # of what the client sends
        self._lost = False
        self._wanted: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._awaited_since = shared.now
        self._written = 0  # bytes, since the connection was made
        self._taken, self._taken_at = 0, shared.now

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered, or waits for that."""
        return self._in_hand is not None or bool(self._waiting)

    def shutdown(self) -> None:
        """Hang up once what is in hand has been answered."""
        self._last = True
        if not self.is_busy:
            self.transport.close()

    def give_up_if_stuck(self, since: float) -> None:
        """Hang up where the client has not done its part since then: asked something, gone on with a body, or read answers."""
        if self._lost:
            return
        if not self._is_read(since):
            self.transport.abort()
        elif self._is_awaiting and self._awaited_since < since:
            self.transport.close()

    def file_descriptor(self) -> int:
        """-1 where it is closed."""
        return -1 if self._lost else int(self.transport.get_extra_info("socket").fileno())

    @property
    def _is_awaiting(self) -> bool:
        """A request, or more of the body of the one in hand."""
        return not self.is_busy if self._in_hand is None else self._in_hand.is_awaited

    def _is_read(self, since: float) -> bool:
        """Whether anything of what waits to be sent has been taken since then, however little."""
        unsent = self.transport.get_write_buffer_size()
        taken = self._written - unsent
        if not unsent or taken != self._taken:
            self._taken, self._taken_at = taken, self._shared.now
            return True
        return self._taken_at >= since

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
        refusal = self._reader.feed(data)
        if refusal is not None:
            self._refuse(refusal)

    def eof_received(self) -> bool:
        """What was asked is still answered: the client may have shut its own side only."""
        self._at_end = True
        if self._reader.coming is not None:
            self._reader.coming.lose()
        return self.is_busy

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()
        self._pause_reading()  # or requests would pile up; the task reads on

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # --- what is read -------------------------------------------------------------------------------------------

    def begun(self, request: Incoming) -> None:
        self._queue(request)

    def filled(self) -> None:
        self._pause_reading()

    def ended(self, request: Incoming) -> None:
        if request.answered:
            if self._last:
                self.transport.close()
        elif self._in_hand is not None and self._in_hand is not request:  # enough for now
            self._pause_reading()

    def go_on(self, request: Incoming) -> None:
        self._awaited_since = self._shared.now
        if request.asks_to_go_on and not self.transport.is_closing():
            request.asks_to_go_on = False
            self.transport.write(CONTINUE)
        self._resume_reading()

    def _queue(self, item: Incoming | Refusal) -> None:
        self._waiting.append(item)
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    def _refuse(self, refusal: Refusal) -> None:
        """What came is no request: say so when it is its turn, and hang up."""
        log.warning("Invalid HTTP request: %s", refusal.message)
        coming = self._reader.coming
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
                if self._at_end:
                    self.transport.close()
                    return
                self._resume_reading()
                self._awaited_since = self._shared.now
                self._wanted = self._loop.create_future()
                await self._wanted
                self._wanted = None
            if self.transport.is_closing():  # the client was told so: what it sent behind does not run
                return
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
        unasked = request.asks_to_go_on and not request.complete  # nobody can tell whether that body comes
        self._last = self._last or unasked or not request.keep_alive or says_close(response)
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
        self._written += len(data)
        self.transport.write(data)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._lost:
            self._shared.connections.discard(self)
        self._reader.close()
        if not task.cancelled() and task.exception() is not None:
            log.error("a connection was given up", exc_info=task.exception())
            self.transport.abort()
