"""A client's connected socket: requests go out, and answers find their callers by number."""

from __future__ import annotations

import asyncio
import itertools
from typing import Self

from acme_kato_unix.frames import Frame, read_frame, write_frame
from kato_transport import ConnectionLost, RemoteProtocolError


class Link:
    """Ends once and for all: when the peer goes it is `broken`, and a new one is needed."""

    def __init__(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int) -> None:
        self._path = path
        self._writer = writer
        self._limit = limit
        self._numbers = itertools.count(1)
        self._callers: dict[int, asyncio.Future[bytes]] = {}
        self.broken = False
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def open(cls, path: str, limit: int) -> Self:
        """Connect; `OSError` where nobody listens."""
        reader, writer = await asyncio.open_unix_connection(path)
        return cls(path, reader, writer, limit)

    async def exchange(self, message: bytes) -> bytes:
        """The answer to a message; `ConnectionLost`, or `RemoteProtocolError` for an answer that is too large to take.

        It first waits for its turn: a peer that reads nothing must not make this side pile up what it would send.
        """
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._callers[number] = answer
        try:
            await self._writer.drain()
            write_frame(self._writer, number, message)
            return await answer
        except OSError as exc:
            raise self._lost() from exc
        finally:
            del self._callers[number]

    async def close(self, error: Exception) -> None:
        """End the connection, and every exchange with the error."""
        self._end(error)
        self._reading.cancel()
        await asyncio.wait([self._reading])

    def fileno(self) -> int:
        return int(self._writer.get_extra_info("socket").fileno())

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                self._take(await read_frame(reader, self._limit))
        except (OSError, EOFError):
            self._end(self._lost())

    def _take(self, frame: Frame) -> None:
        answer = self._callers.get(frame.number)
        if answer is None or answer.done():
            return  # its caller has given up
        if frame.message is None:
            answer.set_exception(RemoteProtocolError(f"the answer of {frame.size} bytes exceeds max_message_bytes"))
        else:
            answer.set_result(frame.message)

    def _end(self, error: Exception) -> None:
        self.broken = True
        self._writer.transport.abort()
        for answer in self._callers.values():
            if not answer.done():
                answer.set_exception(error)

    def _lost(self) -> ConnectionLost:
        return ConnectionLost(f"the connection to {self._path} broke after sending; the call may have run")
