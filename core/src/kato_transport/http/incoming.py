"""One request as its connection reads it: the head at once, and the body while it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from attrs import define
from starlette.types import Message, Scope


@define(eq=False)
class Incoming:
    """`go_on` has the connection read on, and the client told to send the body where it asks first."""

    scope: Scope
    keep_alive: bool
    """Whether the client is going to use the connection again."""
    asks_to_go_on: bool
    """The client sends the body once it is told to."""
    go_on: Callable[[Incoming], None]
    complete: bool = False
    answered: bool = False
    """What still comes of the body is dropped."""
    _body: bytes = b""
    _gone: bool = False
    _news: asyncio.Future[None] | None = None

    @property
    def unread(self) -> int:
        """Bytes that have come, and nobody has taken yet."""
        return len(self._body)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for more of the body."""
        return self._news is not None

    async def receive(self) -> Message:
        """The next piece of the body, as ASGI has it; once it is through, an empty one."""
        if not self.complete and not self._gone:
            self.go_on(self)
            if not self._body:
                self._news = asyncio.get_running_loop().create_future()
                await self._news
        if self._gone:
            return {"type": "http.disconnect"}
        body, self._body = self._body, b""
        return {"type": "http.request", "body": body, "more_body": not self.complete}

    def feed(self, piece: bytes) -> None:
        """More of the body has come."""
        if not self.answered:
            self._body = self._body + piece if self._body else piece
            self._tell()

    def drop(self) -> None:
        """It has been answered: what nobody has read of it, nobody will."""
        self.answered, self._body = True, b""

    def end(self) -> None:
        """The body is through."""
        self.complete = True
        self._tell()

    def lose(self) -> None:
        """The rest will not come."""
        self._gone = True
        self._tell()

    def _tell(self) -> None:
        if self._news is not None:
            if not self._news.done():
                self._news.set_result(None)
            self._news = None
