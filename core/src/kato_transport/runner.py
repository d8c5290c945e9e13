"""What every server does with a request, whatever carried it here: `Runner`.

It answers `ping`, runs no call twice, takes batches apart, places each request in its lane, refuses what comes too late or
is too much, and turns every exception into an error answer. A transport's server decodes, calls `start`, and encodes what
`reply` is given.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from attrs import evolve

from kato_transport.batch import BATCH, Batch, Item
from kato_transport.compression import installed
from kato_transport.contracts import ServerOptions, Service
from kato_transport.errors import (
    CallTimeout,
    ClientClosed,
    ConnectFailed,
    ConnectionLost,
    LocalProtocolError,
    MessageTooLarge,
    RemoteError,
    ServerBusy,
    ServiceError,
)
from kato_transport.lanes import CONCURRENT, INLINE, lane_of
from kato_transport.model import ErrorCode, Request, Response
from kato_transport.once import OnceOnly, Reply
from kato_transport.workers import AGAIN, Job, Workers

log = logging.getLogger("kato_transport.server")

BRIEF_S = 0.01
"""What a request may have waited without its service being told."""

BUSY = Response.refusal("the server's queue, or this client's share of it, is full; try again later", ErrorCode.BUSY)
CLOSING = Response.refusal("the server is shutting down; try again later", ErrorCode.BUSY)


class Runner:
    """Runs a service for a server. `features` are the transport's own, told to clients by `ping`."""

    def __init__(self, service: Service, options: ServerOptions, features: Sequence[str] = (), name: str = "kato") -> None:
        self._service = service
        self._lane = lane_of(service)
        self._once = OnceOnly(options.codec, options.kept_answers, options.kept_bytes, options.kept_s)
        self._features = ["dedupe", "batch", *features, options.codec.name, *installed()]
        self._threads = options.workers
        self._workers = Workers(options.workers, options.queue_limit, options.client_queue_limit, f"{name}-worker")
        self._drain_s = options.drain_s
        self._closing = self._closed = False

    def start(
        self, request: Request, reply: Reply, *, client: bytes = b"", here: bool = False, lend: bool = False
    ) -> Callable[[], None] | None:
        """Have the request answered: by `reply`, called once, at once or later on a worker's thread; always at once where
        the caller has it run `here`. `client` is who asks, where the transport can tell.

        Where the caller can `lend` its thread and a worker would start at once, what the worker would do is given back, and
        the caller has to do it.
        """
        if request.method == "ping":  # first of all, as it tells whoever asks what this server can do
            reply(self._pong())
            return None
        if request.once:
            first = self._once.first(request, reply)
            if first is None:
                return None
            reply = first
        if self._closing:
            reply(CLOSING)
            return None
        if request.method == BATCH:
            self._start_batch(request, reply, client, here)
            return None
        lane = INLINE if here else self._lane(request)
        if lane == INLINE:
            reply(self.answer(request))
            return None
        return self._start_job(request, reply, lane, client, lend)

    def answer(self, request: Request) -> Response:
        """The answer, made here and now; never raises."""
        if request.method == "ping":
            return self._pong()
        try:
            response = self._service(request)
            if not isinstance(response, Response) or not isinstance(response.body, (dict, Mapping)):
                raise TypeError(f"the service returned {response!r:.60}, not a Response with a map")
            return response
        except BaseException as exc:  # a handler's sys.exit or CancelledError ends its request and nothing else
            if isinstance(exc, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise
            return error_answer(request, exc)

    def stats(self) -> dict[str, int]:
        """Answers kept for repeats and their bytes, calls answered without running, answers let go of early."""
        return self._once.stats()

    def close(self) -> bool:
        """Answer `busy` from now on, give what was taken the drain time; False where a handler is still running."""
        self._closing = True
        ended = self._workers.close(self._drain_s, self._drop)
        self._closed = True
        if not ended:
            log.warning("closed with a handler still running after %g s", self._drain_s)
        return ended

    def _start_job(self, request: Request, reply: Reply, lane: str, client: bytes, lend: bool) -> Callable[[], None] | None:
        deadline = time.monotonic() + request.timeout_s

        def job() -> None:
            reply(self._in_time(request, deadline))

        lent = self._workers.lend(lane, job, client) if lend else None
        if lent is None and not self._workers.submit(lane, job, client):
            reply(self._no_room())
        return lent

    def _in_time(self, request: Request, deadline: float) -> Response:
        """The answer of a request that has waited, unless the drain time, or its caller's, is over; of the latter the service
        is told what is left."""
        if self._closed:
            return CLOSING
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return _too_late(request)
        return self.answer(request if request.timeout_s - left_s < BRIEF_S else evolve(request, timeout_s=left_s))

    def _drop(self, job: Job) -> None:
        """Have a job that was never started say so."""
        self._closed = True
        job()

    def _start_batch(self, request: Request, reply: Reply, client: bytes, here: bool) -> None:
        deadline = time.monotonic() + request.timeout_s
        try:
            batch = Batch(request, reply)
        except ServiceError as exc:
            reply(Response.refusal(exc.message, exc.code))
            return
        for lane, items in batch.lanes(lambda call: INLINE if here or call.method == "ping" else self._lane(call)).items():
            self._start_items(batch, lane, items, deadline, client)

    def _start_items(self, batch: Batch, lane: str, items: deque[Item], deadline: float, client: bytes) -> None:
        """The calls of one lane: one job does them in order, those of no lane are shared by as many jobs as can run beside
        each other. So a lane's calls are all taken or all refused, and none is overtaken by a later request."""

        def job() -> object:
            while items:
                try:
                    index, call = items.popleft()
                except IndexError:  # another job was faster
                    break
                batch.answer(index, self._in_time(call, deadline))
                if items and lane == CONCURRENT and not self._closed:  # the rest when it is this client's turn again
                    return AGAIN
            return None

        if lane == INLINE:
            job()
            return
        jobs = min(len(items), self._threads) if lane == CONCURRENT else 1
        taken = [self._workers.submit(lane, job, client) for _ in range(jobs)]
        if not any(taken):
            for index, _ in items:
                batch.answer(index, self._no_room())

    def _no_room(self) -> Response:
        return CLOSING if self._closing else BUSY

    def _pong(self) -> Response:
        fields = {"message": "pong", "timestamp": time.time(), "features": self._features, "server": self._once.name}
        processors = getattr(self._service, "processors", None)
        return Response.okay(**fields) if processors is None else Response.okay(**fields, processors=processors)


def error_answer(request: Request, exc: BaseException) -> Response:
    """The error answer that an exception in a service stands for: its text, its kind as code, and no traceback."""
    match exc:
        case ServerBusy():
            return Response.refusal(exc.message, exc.code)
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
            return Response.refusal(str(exc), ErrorCode.UNAVAILABLE)
        case _:
            log.error("%s failed", request.method, exc_info=exc)
            text = " ".join(_text(exc).split())[:200]
            return Response.error(f"{request.method} failed: {type(exc).__name__}: {text}", ErrorCode.INTERNAL)


def _text(exc: BaseException) -> str:
    """What an exception says of itself, where it can."""
    try:
        return str(exc)
    except Exception:
        return "it says nothing of itself"


def _too_late(request: Request) -> Response:
    text = f"{request.method}: not started, its {request.timeout_s:g} s had passed"
    return Response.refusal(text, ErrorCode.DEADLINE_EXCEEDED)
