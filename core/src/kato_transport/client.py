"""The comfortable clients, built once on top of a transport's connection: `Client` and `AsyncClient`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, cast

from attrs import evolve

from kato_transport import fork
from kato_transport.contracts import WINDOW, AsyncConnection, Connection, MultiplexConnection
from kato_transport.errors import ClientClosed, ConnectFailed, ConnectionLost, InvalidSetting, ServerBusy, TransportError
from kato_transport.kato.methods import IDEMPOTENT
from kato_transport.model import Request, Response
from kato_transport.retry import may_retry, policy

LONGEST_TIMEOUT_S = 366 * 24 * 3600
"""Within what every platform's clocks and locks can count."""

Params = Mapping[str, Any]
Call = tuple[str, Params]

_SUBMIT_THREADS = "kato-submit"
_THREADS_FOR_LOCKSTEP = 32
"""Calls at a time through a connection that carries one at a time per socket, when they are made from futures or tasks."""


def checked_timeout(timeout_s: float) -> float:
    """A timeout as it was given; `InvalidSetting` for one that nobody can wait for."""
    if not 0 < timeout_s <= LONGEST_TIMEOUT_S:
        raise InvalidSetting(f"timeout_s must be above 0 and at most {LONGEST_TIMEOUT_S}, not {timeout_s!r}")
    return timeout_s


class Calls:
    """How both clients turn a call's arguments into a `Request`."""

    def __init__(self, endpoint: str, timeout_s: float) -> None:
        self.endpoint = endpoint
        self.timeout_s = timeout_s

    def _request(
        self, method: str, params: Params | None, timeout_s: float | None, processor_id: str, idempotent: bool | None
    ) -> Request:
        return Request(
            method=method,
            params={} if params is None else params,
            processor_id=processor_id,
            timeout_s=self.timeout_s if timeout_s is None else checked_timeout(timeout_s),
            idempotent=method in IDEMPOTENT if idempotent is None else idempotent,
        )


class Client(Calls):
    """A client for threads, and safe to be shared by them; use as a context manager, or `close` it."""

    def __init__(self, connection: Connection, endpoint: str, timeout_s: float) -> None:
        super().__init__(endpoint, timeout_s)
        self._connection = connection
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._closed = False

    def request(self, request: Request) -> Response:
        """The seam itself: one attempt, an error answer comes back as it is. See `Connection.request` for what it raises."""
        if self._closed:
            raise ClientClosed(f"the client of {self.endpoint} is closed")
        return self._connection.request(request)

    def call(
        self,
        method: str,
        params: Params | None = None,
        *,
        timeout_s: float | None = None,
        processor_id: str = "",
        idempotent: bool | None = None,
    ) -> dict[str, Any]:
        """The answer's map. `RemoteError` where the peer answered with an error; else as `Connection.request` raises.

        `timeout_s` is the time for all attempts together. A busy server is asked again; after a broken connection only
        an idempotent call is made again, which KATO's reading methods are by themselves.
        """
        request = self._request(method, params, timeout_s, processor_id, idempotent)
        started = time.monotonic()
        try:
            return self.request(request).result(method)
        except (ServerBusy, ConnectionLost) as failed:
            return self._call_again(request, started + request.timeout_s, failed)

    def submit(
        self, method: str, params: Params | None = None, *, timeout_s: float | None = None, processor_id: str = ""
    ) -> Future[dict[str, Any]]:
        """Call without waiting: a future that ends as one attempt of `call` would."""
        request = self._request(method, params, timeout_s, processor_id, None)
        if self._closed:
            raise ClientClosed(f"the client of {self.endpoint} is closed")
        if hasattr(self._connection, "submit"):
            return _result_of(cast("MultiplexConnection", self._connection).submit(request), method)
        deadline = time.monotonic() + request.timeout_s
        return self._threads().submit(lambda: self.request(_still_in_time(request, deadline)).result(method))

    def call_many(
        self, calls: Iterable[Call], *, timeout_s: float | None = None, processor_id: str = ""
    ) -> list[dict[str, Any] | TransportError]:
        """Many calls, answers in order; an error is an item, not the end. Transports that multiplex send all at once."""
        requests = [self._request(method, params, timeout_s, processor_id, None) for method, params in calls]
        if self._closed:
            raise ClientClosed(f"the client of {self.endpoint} is closed")
        if hasattr(self._connection, "request_many"):
            answers = cast("MultiplexConnection", self._connection).request_many(requests)
        else:
            answers = [_attempt(self._connection, request) for request in requests]
        return [_item(answer, request) for answer, request in zip(answers, requests, strict=True)]

    def stats(self) -> Mapping[str, Any]:
        """The transport's own counters; empty where it keeps none."""
        stats: Callable[[], Mapping[str, Any]] = getattr(self._connection, "stats", dict)
        return stats()

    def close(self) -> None:
        """Let go of every socket and thread; does nothing when called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._connection.close()
        if self._executor is not None:
            own = threading.current_thread().name.startswith(_SUBMIT_THREADS)  # a callback cannot wait for its own thread
            self._executor.shutdown(wait=not own, cancel_futures=True)

    def after_fork_in_child(self) -> None:
        """The executor's threads are the parent's."""
        fork.abandon(self._executor)
        self._executor = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _threads(self) -> ThreadPoolExecutor:
        """Threads for calls through a connection that has no futures of its own."""
        with self._lock:
            if self._closed:
                raise ClientClosed(f"the client of {self.endpoint} is closed")
            if self._executor is None:
                self._executor = ThreadPoolExecutor(_THREADS_FOR_LOCKSTEP, _SUBMIT_THREADS)
                fork.watch(self)
            return self._executor

    def _call_again(self, request: Request, deadline: float, failed: TransportError) -> dict[str, Any]:
        from tenacity import Retrying

        if not may_retry(request, failed):
            raise failed
        first = [failed]

        def attempt() -> dict[str, Any]:
            if first:
                raise first.pop()
            return self.request(_shortened(request, deadline)).result(request.method)

        return Retrying(**policy(request, deadline - time.monotonic()))(attempt)


class AsyncClient(Calls):
    """A client for asyncio; belongs to the event loop it was made on. Use with `async with`, or `await` its `close`."""

    def __init__(self, connection: AsyncConnection, endpoint: str, timeout_s: float) -> None:
        super().__init__(endpoint, timeout_s)
        self._connection = connection
        self._closed = False

    async def request(self, request: Request) -> Response:
        """As `Client.request`."""
        if self._closed:
            raise ClientClosed(f"the client of {self.endpoint} is closed")
        return await self._connection.request(request)

    async def call(
        self,
        method: str,
        params: Params | None = None,
        *,
        timeout_s: float | None = None,
        processor_id: str = "",
        idempotent: bool | None = None,
    ) -> dict[str, Any]:
        """As `Client.call`."""
        request = self._request(method, params, timeout_s, processor_id, idempotent)
        deadline = time.monotonic() + request.timeout_s
        try:
            return (await self.request(request)).result(method)
        except (ServerBusy, ConnectionLost) as failed:
            return await self._call_again(request, deadline, failed)

    async def call_many(
        self, calls: Iterable[Call], *, timeout_s: float | None = None, processor_id: str = ""
    ) -> list[dict[str, Any] | TransportError]:
        """As `Client.call_many`."""
        if self._closed:
            raise ClientClosed(f"the client of {self.endpoint} is closed")
        requests = [self._request(method, params, timeout_s, processor_id, None) for method, params in calls]
        window = asyncio.Semaphore(WINDOW)

        async def answer(request: Request) -> Response:
            async with window:
                return await self.request(request)

        answers = await asyncio.gather(*map(answer, requests), return_exceptions=True)
        return [_item(answer, request) for answer, request in zip(answers, requests, strict=True)]

    async def close(self) -> None:
        """As `Client.close`."""
        if not self._closed:
            self._closed = True
            await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        await self.close()

    async def _call_again(self, request: Request, deadline: float, failed: TransportError) -> dict[str, Any]:
        from tenacity import AsyncRetrying

        if not may_retry(request, failed):
            raise failed
        first = [failed]

        async def attempt() -> dict[str, Any]:
            if first:
                raise first.pop()
            return (await self.request(_shortened(request, deadline))).result(request.method)

        return await AsyncRetrying(**policy(request, deadline - time.monotonic()))(attempt)


class ThreadedConnection:
    """An `AsyncConnection` on threads, for transports that have none of their own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._executor = ThreadPoolExecutor(_THREADS_FOR_LOCKSTEP, "kato-async")

    async def request(self, request: Request) -> Response:
        deadline = time.monotonic() + request.timeout_s

        def call() -> Response:
            return self._connection.request(_still_in_time(request, deadline))

        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def close(self) -> None:
        def close() -> None:
            self._connection.close()
            self._executor.shutdown(wait=True, cancel_futures=True)

        await asyncio.to_thread(close)


def _attempt(connection: Connection, request: Request) -> Response | Exception:
    try:
        return connection.request(request)
    except TransportError as exc:
        return exc


def _item(answer: Response | BaseException, request: Request) -> dict[str, Any] | TransportError:
    if isinstance(answer, Response):
        try:
            return answer.result(request.method)
        except TransportError as exc:
            return exc
    if isinstance(answer, TransportError):
        return answer
    raise answer


def _result_of(answered: Future[Response], method: str) -> Future[dict[str, Any]]:
    """A future of the answer's map from a future of the response."""
    result: Future[dict[str, Any]] = Future()

    def settle(done: Future[Response]) -> None:
        if not result.set_running_or_notify_cancel():
            return
        try:
            result.set_result(done.result().result(method))
        except (Exception, CancelledError) as exc:
            result.set_exception(exc)

    answered.add_done_callback(settle)
    return result


def _still_in_time(request: Request, deadline: float) -> Request:
    """The request with what is left of its time after waiting for a thread."""
    if time.monotonic() >= deadline:
        raise ConnectFailed(f"{request.method}: all threads were busy for {request.timeout_s:g} s; nothing was sent")
    return _shortened(request, deadline)


def _shortened(request: Request, deadline: float) -> Request:
    return evolve(request, timeout_s=max(deadline - time.monotonic(), 0.001))
