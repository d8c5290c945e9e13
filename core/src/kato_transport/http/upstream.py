"""What an HTTP server stands in front of: one shared connection to a server, or a service of this process.

Both are an `AsyncConnection`: `request(Request)` awaited in the HTTP server's loop.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

from kato_transport.codecs.json import JsonCodec
from kato_transport.contracts import AsyncConnection
from kato_transport.errors import CallTimeout, LocalProtocolError
from kato_transport.model import Request, Response
from kato_transport.runner import Runner, error_answer

_SIZING = JsonCodec()


class LocalUpstream:
    """A service of this process, run by core's `Runner`; whoever made the runner closes it."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def request(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        here = threading.get_ident()
        answered: asyncio.Future[Response] = loop.create_future()

        def reply(response: Response) -> int:
            if threading.get_ident() == here:
                _settle(answered, response)
            else:
                with suppress(RuntimeError):  # the loop is gone: the server was closed and nobody waits any more
                    loop.call_soon_threadsafe(_settle, answered, response)
            return _size(response) if request.once else 0

        self._runner.start(request, reply)
        if answered.done():
            return answered.result()
        try:
            async with asyncio.timeout(request.timeout_s):
                return await answered
        except TimeoutError:
            raise CallTimeout(request.method, request.timeout_s, "its processor") from None

    async def close(self) -> None:
        """Nothing to let go of."""


async def ask(upstream: AsyncConnection, request: Request) -> Response:
    """The upstream's answer, with an error answer in place of what it raises."""
    try:
        return await upstream.request(request)
    except Exception as exc:
        return error_answer(request, exc)


def _size(response: Response) -> int:
    """About what the answer comes to as JSON."""
    try:
        return len(_SIZING.encode(response.body))
    except LocalProtocolError:
        return 0


def _settle(answered: asyncio.Future[Response], response: Response) -> None:
    if not answered.done():
        answered.set_result(response)
