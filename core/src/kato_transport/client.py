"""The comfortable clients, built once on top of any transport's connections: `Client` and `AsyncClient`."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from attrs import evolve

from kato_transport import fork
from kato_transport.batch import BATCH, batch_items, batch_params
from kato_transport.contracts import WINDOW
from kato_transport.errors import ClientClosed, InvalidSetting, TransportError
from kato_transport.kato.methods import IDEMPOTENT
from kato_transport.model import Request, Response
from kato_transport.reliable import AsyncReliableConnection, ReliableConnection
from kato_transport.threaded import THREADS, shortened

LONGEST_TIMEOUT_S = 366 * 24 * 3600
"""Within what every platform's clocks and locks can count."""

Params = Mapping[str, Any]
Call = tuple[str, Params]

_SUBMIT_THREADS = "kato-submit"


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
        params = {} if params is None else params
        timeout_s = self.timeout_s if timeout_s is None else checked_timeout(timeout_s)
        idempotent = method in IDEMPOTENT if idempotent is None else idempotent
        return Request(method, params, processor_id, timeout_s, 0.0, "improved", None, "", idempotent)  # names take longer

    def _batch(self, calls: Iterable[Call], timeout_s: float | None, processor_id: str) -> Request:
        params = batch_params(calls)
        reads = all(call["method"] in IDEMPOTENT for call in params["calls"])
        return self._request(BATCH, params, timeout_s, processor_id, reads)


class Client(Calls):
    """A client for threads, and safe to be shared by them; use as a context manager, or `close` it."""

    def __init__(self, connection: ReliableConnection, endpoint: str, timeout_s: float) -> None:
        super().__init__(endpoint, timeout_s)
        self._connection = connection
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._closed = False

    def request(self, request: Request) -> Response:
        """The seam itself: one copy of a call, and an error answer comes back as it is.

        `ConnectFailed` (nothing was sent), `CallTimeout` or `ConnectionLost` (it may have run), `LocalProtocolError` (cannot
        be sent), `RemoteProtocolError` (the answer cannot be read), `ClientClosed`.
        """
        return self._open_connection().once(_own(request))

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

        `timeout_s` is the time for all copies of the call together. Where nothing was run, the call is sent again; where it
        may have run, only if it is idempotent, as KATO's reading methods are by themselves, or if the server runs no call
        twice. Other endpoints are tried where there are several.
        """
        request = self._request(method, params, timeout_s, processor_id, idempotent)
        return self._open_connection().request(request).result(method)

    def submit(
        self, method: str, params: Params | None = None, *, timeout_s: float | None = None, processor_id: str = ""
    ) -> Future[dict[str, Any]]:
        """Call without waiting: a future that ends as one copy of `call` would."""
        request = self._request(method, params, timeout_s, processor_id, None)
        connection = self._open_connection()
        if connection.multiplexes:
            return _result_of(connection.submit(request), method)
        deadline = time.monotonic() + request.timeout_s
        return self._threads().submit(lambda: connection.once(shortened(request, deadline)).result(method))

    def call_many(
        self, calls: Iterable[Call], *, timeout_s: float | None = None, processor_id: str = ""
    ) -> list[dict[str, Any] | TransportError]:
        """Many calls, answers in order; an error is an item, not the end. Transports that multiplex send one copy
        of each, without waiting for the answers in between."""
        requests = [self._request(method, params, timeout_s, processor_id, None) for method, params in calls]
        connection = self._open_connection()
        if connection.multiplexes:
            answers = connection.request_many(requests)
        else:
            answers = [_attempt(connection, request) for request in requests]
        return [_item(answer, request) for answer, request in zip(answers, requests, strict=True)]

    def batch(
        self, calls: Iterable[Call], *, timeout_s: float | None = None, processor_id: str = ""
    ) -> list[dict[str, Any] | TransportError]:
        """Many calls in one message, answers in order; an error is an item, not the end. The calls to one processor run in
        their order; `call_many` sends a message for each, as for calls that are too large together.

        The message is one call, sent again as `call` has it; `RemoteError` where the batch as a whole was refused, as by a
        server that knows none.
        """
        request = self._batch(calls, timeout_s, processor_id)
        return batch_items(self._open_connection().request(request), request.params)

    def stats(self) -> Mapping[str, Any]:
        """The transport's own counters and the state of the circuit; by endpoint where there are several."""
        return self._connection.stats()

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

    def _open_connection(self) -> ReliableConnection:
        if self._closed:
            raise ClientClosed(f"the client of {self.endpoint} is closed")
        return self._connection

    def _threads(self) -> ThreadPoolExecutor:
        """Threads for calls through a connection that has no futures of its own."""
        with self._lock:
            if self._closed:
                raise ClientClosed(f"the client of {self.endpoint} is closed")
            if self._executor is None:
                self._executor = ThreadPoolExecutor(THREADS, _SUBMIT_THREADS)
                fork.watch(self)
            return self._executor


class AsyncClient(Calls):
    """A client for asyncio; belongs to the event loop it was made on. Use with `async with`, or `await` its `close`."""

    def __init__(self, connection: AsyncReliableConnection, endpoint: str, timeout_s: float) -> None:
        super().__init__(endpoint, timeout_s)
        self._connection = connection
        self._closed = False

    async def request(self, request: Request) -> Response:
        """As `Client.request`."""
        return await self._open_connection().once(_own(request))

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
        return (await self._open_connection().request(request)).result(method)

    async def call_many(
        self, calls: Iterable[Call], *, timeout_s: float | None = None, processor_id: str = ""
    ) -> list[dict[str, Any] | TransportError]:
        """As `Client.call_many`."""
        connection = self._open_connection()
        requests = [self._request(method, params, timeout_s, processor_id, None) for method, params in calls]
        window = asyncio.Semaphore(WINDOW)

        async def answer(request: Request) -> Response:
            async with window:
                return await connection.once(request)

        answers = await asyncio.gather(*map(answer, requests), return_exceptions=True)
        return [_item(answer, request) for answer, request in zip(answers, requests, strict=True)]

    async def batch(
        self, calls: Iterable[Call], *, timeout_s: float | None = None, processor_id: str = ""
    ) -> list[dict[str, Any] | TransportError]:
        """As `Client.batch`."""
        request = self._batch(calls, timeout_s, processor_id)
        return batch_items(await self._open_connection().request(request), request.params)

    def stats(self) -> Mapping[str, Any]:
        """As `Client.stats`."""
        return self._connection.stats()

    async def close(self) -> None:
        """As `Client.close`."""
        if not self._closed:
            self._closed = True
            await self._connection.close()

    def _open_connection(self) -> AsyncReliableConnection:
        if self._closed:
            raise ClientClosed(f"the client of {self.endpoint} is closed")
        return self._connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        await self.close()


def _own(request: Request) -> Request:
    """A request as this client's own: one that is passed on from elsewhere may bear somebody else's mark."""
    return evolve(request, once="") if request.once else request


def _attempt(connection: ReliableConnection, request: Request) -> Response | Exception:
    try:
        return connection.once(request)
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
