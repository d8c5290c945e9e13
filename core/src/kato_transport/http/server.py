"""`HttpServer`: an application on a bound socket, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress

from kato_transport import fork
from kato_transport.endpoints import http_endpoint
from kato_transport.http.binding import listening
from kato_transport.http.listener import HttpListener, Responder, new_loop

log = logging.getLogger("kato_transport.http")


class HttpServer:
    """Serves until it is closed. `app` is entered in the server's loop, and left when nobody uses the application any more;
    what it raises at the beginning, the constructor raises."""

    def __init__(
        self, endpoint: str, app: Callable[[], AbstractAsyncContextManager[Responder]], drain_s: float, name: str = "kato-http"
    ) -> None:
        self._socket = listening(endpoint)
        self.endpoint = http_endpoint(*self._socket.getsockname()[:2])
        self._app = app
        self._drain_s = drain_s
        self._running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, HttpListener]] = Future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        try:
            self._loop, self._stop, self._listener = self._running.result()
        except BaseException:
            self._thread.join()
            raise
        fork.watch(self)

    def stop(self) -> None:
        """Begin to close, without waiting for it."""
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stop.set)

    def close(self) -> None:
        """Refuse what is new, finish what was taken within the drain time, let go of everything; idempotent."""
        if self._thread.is_alive():
            self.stop()
            if self._thread is not threading.current_thread():
                self._thread.join()

    def after_fork_in_child(self) -> None:
        """The thread did not come along; port and connections are the parent's alone.

        If the child held on to them, no client would see the parent hang up. Their file descriptors stay taken, by the
        null device, as objects of the parent's loop know them by number.
        """
        fork.abandon((self._loop, self._listener, self._socket))
        with open(os.devnull, "rb") as null:
            for inherited in (self._socket.fileno(), *self._listener.file_descriptors()):
                if inherited >= 0:
                    os.dup2(null.fileno(), inherited)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(self._serve())
        except BaseException as exc:
            if self._running.done():
                raise
            self._running.set_exception(exc)
        finally:
            self._socket.close()

    async def _serve(self) -> None:
        async with self._app() as app:
            listener = HttpListener(app)
            listener.start(self._socket)
            stop = asyncio.Event()
            self._running.set_result((asyncio.get_running_loop(), stop, listener))
            log.info("serving %s", self.endpoint)
            await listener.serve_until(stop)
            await listener.close(self._drain_s)
