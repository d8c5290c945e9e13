"""The `memory` transport: client and server in one process, and the smallest complete transport to read first.

Supports calls (many in flight) and event streams. Messages pass through the codec both ways, so nothing mutable is shared
and what cannot be sent elsewhere cannot be sent here. Endpoints are `memory://NAME`; `memory://` makes up a name.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar, Self

from kato_transport import fork
from kato_transport.compression import compressed
from kato_transport.contracts import WINDOW, ClientOptions, EventHandler, EventTransport, ServerOptions, Service, Transport
from kato_transport.deadlines import Deadlines
from kato_transport.errors import (
    BindFailed,
    CallTimeout,
    ClientClosed,
    ConnectFailed,
    ConnectionLost,
    InvalidSetting,
    TransportError,
)
from kato_transport.events import KVEvent
from kato_transport.hookspecs import hookimpl
from kato_transport.model import Capability, Request, Response
from kato_transport.once import Sent
from kato_transport.runner import Runner
from kato_transport.wire import BadRequest, Heartbeat, decode_request, decode_response, encode_request, encode_response

SCHEME = "memory://"

log = logging.getLogger("kato_transport.memory")


class Hub:
    """What is served and subscribed to in this process, by endpoint."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.servers: dict[str, MemoryServer] = {}
        self.subscriptions: list[MemorySubscription] = []
        self.names = itertools.count(1)

    def after_fork_in_child(self) -> None:
        """The parent's servers have no threads here, so they are not there."""
        fork.abandon((self.servers, self.subscriptions))
        self.__init__()  # type: ignore[misc]


_hub = Hub()


class MemoryServer:
    """A service under a name."""

    def __init__(self, endpoint: str, service: Service, options: ServerOptions) -> None:
        fork.watch(_hub)
        self.endpoint = endpoint if endpoint != SCHEME else f"{SCHEME}{next(_hub.names)}"
        self._codec = options.codec
        self._limit = options.max_message_bytes
        self._runner = Runner(service, options, features=("correlation", "deadline"), name="kato-memory")
        self._pending: set[Future[bytes]] = set()
        with _hub.lock:
            if self.endpoint in _hub.servers:
                raise BindFailed(f"{self.endpoint} is already served in this process")
            _hub.servers[self.endpoint] = self

    def take(self, message: bytes) -> Future[bytes]:
        """A future of the answer's bytes."""
        answered: Future[bytes] = Future()
        self._pending.add(answered)
        answered.add_done_callback(self._pending.discard)
        try:
            request = decode_request(self._codec, message, limit=self._limit)
            if isinstance(request, Heartbeat):
                raise BadRequest("heartbeats have no meaning within a process")
        except BadRequest as exc:
            _settle(answered, encode_response(self._codec, exc.answer, exc.request_id))
            return answered

        def reply(answer: Response) -> Sent:
            encoded = encode_response(self._codec, answer, request.request_id, self._limit)
            _settle(answered, compressed(encoded, request.accept))
            return encoded

        self._runner.start(request, reply)
        return answered

    def close(self) -> None:
        with _hub.lock:
            if _hub.servers.get(self.endpoint) is self:
                del _hub.servers[self.endpoint]
        self._runner.close()
        for answered in list(self._pending):
            _settle(answered, ConnectionLost(f"{self.endpoint} was closed before it answered"))


class MemoryConnection:
    """Calls whatever server is under the endpoint's name at the moment of each call."""

    def __init__(self, endpoint: str, options: ClientOptions) -> None:
        self._endpoint = endpoint
        self._options = options
        self._deadlines = Deadlines("kato-memory-deadlines")
        self._pending: set[Future[Response]] = set()
        self._closed = False

    def request(self, request: Request) -> Response:
        try:
            return self._start(request).result(request.timeout_s)
        except FutureTimeout:
            raise CallTimeout(request.method, request.timeout_s, self._endpoint) from None

    def submit(self, request: Request) -> Future[Response]:
        answered = self._start(request)
        late = CallTimeout(request.method, request.timeout_s, self._endpoint)
        cancel = self._deadlines.add(time.monotonic() + request.timeout_s, lambda: _settle(answered, late))
        answered.add_done_callback(lambda _: cancel())
        return answered

    def request_many(self, requests: Sequence[Request]) -> list[Response | Exception]:
        outcomes: list[Response | Exception] = []
        for first in range(0, len(requests), WINDOW):
            window = [self.submit(request) for request in requests[first : first + WINDOW]]
            outcomes += map(_outcome, window)
        return outcomes

    def close(self) -> None:
        self._closed = True
        self._deadlines.close()
        for answered in list(self._pending):
            _settle(answered, ClientClosed(f"the client of {self._endpoint} was closed before the answer came"))

    def _start(self, request: Request) -> Future[Response]:
        answered: Future[Response] = Future()
        self._pending.add(answered)
        answered.add_done_callback(self._pending.discard)
        try:
            sent = self._send(request)
        except TransportError as exc:
            _settle(answered, exc)
        else:
            sent.add_done_callback(lambda done: _settle_by(answered, lambda: self._decoded(done.result())))
        return answered

    def _send(self, request: Request) -> Future[bytes]:
        if self._closed:
            raise ClientClosed(f"the client of {self._endpoint} is closed")
        message = encode_request(self._options.codec, request, self._options.max_message_bytes)
        server = _hub.servers.get(self._endpoint)
        if server is None:
            raise ConnectFailed(f"nothing is served at {self._endpoint} in this process")
        return server.take(message)

    def _decoded(self, message: bytes) -> Response:
        return decode_response(self._options.codec, message, self._options.max_message_bytes)


class MemorySubscription:
    """A handler under an endpoint's name."""

    def __init__(self, endpoint: str, handler: EventHandler) -> None:
        self.endpoint = endpoint
        self.handler = handler
        with _hub.lock:
            _hub.subscriptions.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        with _hub.lock, suppress(ValueError):
            _hub.subscriptions.remove(self)


def publish(endpoint: str, event: KVEvent) -> None:
    """Hand an event to every subscription of the endpoint in this process, in the caller's thread."""
    for subscription in list(_hub.subscriptions):
        if subscription.endpoint == endpoint:
            subscription.handler.handle_event(event)


class MemoryTransport:
    """See the module."""

    name: ClassVar[str] = "memory"
    capabilities: ClassVar[Capability] = Capability.REQUEST_REPLY | Capability.MULTIPLEX | Capability.SUBSCRIBE
    schemes: ClassVar[tuple[str, ...]] = ("memory",)

    def connect(self, endpoint: str, options: ClientOptions) -> MemoryConnection:
        return MemoryConnection(_checked(endpoint), options)

    def serve(self, endpoint: str, service: Service, options: ServerOptions) -> MemoryServer:
        return MemoryServer(_checked(endpoint), service, options)

    def subscribe(self, endpoint: str, handler: EventHandler, options: Mapping[str, Any]) -> MemorySubscription:
        if options:
            raise InvalidSetting(f"memory subscriptions have no option {sorted(options)[0]!r}")
        return MemorySubscription(_checked(endpoint), handler)


@hookimpl
def kato_register_transports() -> Iterable[Transport | EventTransport]:
    return [MemoryTransport()]


def _checked(endpoint: str) -> str:
    if not endpoint.startswith(SCHEME):
        raise InvalidSetting(f"endpoint {endpoint!r}: the memory transport reads {SCHEME}NAME")
    return endpoint


def _settle(future: Future[Any], outcome: Any) -> None:
    """End a future that something else may have ended first."""
    with suppress(InvalidStateError):
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _settle_by(future: Future[Any], make: Callable[[], Any]) -> None:
    try:
        _settle(future, make())
    except Exception as exc:
        _settle(future, exc)


def _outcome(answered: Future[Response]) -> Response | Exception:
    try:
        return answered.result()
    except Exception as exc:
        return exc
