"""What every server does with a request, whatever carried it here: `Runner`.

It answers `ping`, places each request in its lane, refuses what comes too late or is too much, and turns every exception
into an error answer. A transport's server decodes, calls `start`, and encodes what `reply` is given.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from kato_transport.contracts import ServerOptions, Service
from kato_transport.errors import (
    CallTimeout,
    ClientClosed,
    ConnectFailed,
    ConnectionLost,
    LocalProtocolError,
    MessageTooLarge,
    RemoteError,
    ServiceError,
)
from kato_transport.lanes import INLINE, lane_of
from kato_transport.model import ErrorCode, Request, Response
from kato_transport.workers import Workers

Reply = Callable[[Response], None]

log = logging.getLogger("kato_transport.server")

BUSY = Response.error("the server's queue is full; try again later", ErrorCode.BUSY)
CLOSING = Response.error("the server is shutting down; try again later", ErrorCode.BUSY)


class Runner:
    """Runs a service for a server. `features` are the transport's own, told to clients by `ping`."""

    def __init__(self, service: Service, options: ServerOptions, features: Sequence[str] = (), name: str = "kato") -> None:
        self._service = service
        self._lane = lane_of(service)
        self._features = [*features, options.codec.name]
        self._workers = Workers(options.workers, options.queue_limit, f"{name}-worker")
        self._drain_s = options.drain_s
        self._closing = False

    def start(self, request: Request, reply: Reply) -> None:
        """Have the request answered: by `reply`, called once, at once or later on a worker's thread."""
        if request.method == "ping":  # first of all, as it tells whoever asks what this server can do
            reply(self._pong())
            return
        if self._closing:
            reply(CLOSING)
            return
        lane = self._lane(request)
        if lane == INLINE:
            reply(self.answer(request))
            return
        deadline = time.monotonic() + request.timeout_s

        def job() -> None:
            reply(self.answer(request) if time.monotonic() < deadline else _too_late(request))

        if not self._workers.submit(lane, job):
            reply(CLOSING if self._closing else BUSY)

    def answer(self, request: Request) -> Response:
        """The answer, made here and now; never raises."""
        if request.method == "ping":
            return self._pong()
        try:
            response = self._service(request)
            if not isinstance(response, Response) or not isinstance(response.body, Mapping):
                raise TypeError(f"the service returned {response!r:.60}, not a Response with a map")
            return response
        except BaseException as exc:  # a handler's sys.exit or CancelledError ends its request and nothing else
            if isinstance(exc, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise
            return error_answer(request, exc)

    def close(self) -> bool:
        """Answer `busy` from now on, give what was taken the drain time; False where a handler is still running."""
        self._closing = True
        ended = self._workers.close(self._drain_s)
        if not ended:
            log.warning("closed with a handler still running after %g s", self._drain_s)
        return ended

    def _pong(self) -> Response:
        fields = {"message": "pong", "timestamp": time.time(), "features": self._features}
        processors = getattr(self._service, "processors", None)
        return Response.okay(**fields) if processors is None else Response.okay(**fields, processors=processors)


def error_answer(request: Request, exc: BaseException) -> Response:
    """The error answer that an exception in a service stands for: its text, its kind as code, and no traceback."""
    match exc:
        case ServiceError() | RemoteError():
            return Response.error(exc.message, exc.code)
        case CallTimeout():
            return Response.error(str(exc), ErrorCode.DEADLINE_EXCEEDED)
        case MessageTooLarge():
            return Response.error(str(exc), ErrorCode.TOO_LARGE)
        case LocalProtocolError():
            return Response.error(f"{request.method}: {exc}", ErrorCode.INVALID_PARAMS)
        case ConnectionLost():
            return Response.error(str(exc), ErrorCode.CONNECTION_LOST)
        case ConnectFailed() | ClientClosed():
            return Response.error(str(exc), ErrorCode.UNAVAILABLE)
        case _:
            log.error("%s failed", request.method, exc_info=exc)
            text = " ".join(str(exc).split())[:200]
            return Response.error(f"{request.method} failed: {type(exc).__name__}: {text}", ErrorCode.INTERNAL)


def _too_late(request: Request) -> Response:
    return Response.error(f"{request.method}: not started, its {request.timeout_s:g} s had passed", ErrorCode.DEADLINE_EXCEEDED)
