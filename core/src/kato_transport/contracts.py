"""What a plugin has to look like: structural types, so that no plugin needs a base class of this library.

A transport is two factories and a promise: `connect`, `serve` and its `capabilities`. What they give back is small:
`Connection.request` has the shape of a `Service`, and everything more comfortable is built once, in
`kato_transport.client`, on top of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from attrs import field, frozen, validators

from kato_transport.compression import check_compression
from kato_transport.events import KVEvent
from kato_transport.model import Capability, Request, Response

WINDOW = 64
"""Requests of one `call_many` in flight at once: enough to hide the round trip, few enough to leave a server's queue to
others."""

Service = Callable[[Request], Response]
"""What a server calls for each request; it answers every one of them and does not raise."""

_number: list[Any] = [validators.instance_of((int, float)), validators.lt(math.inf)]
_above_0: list[Any] = [*_number, validators.gt(0)]
_from_0: list[Any] = [*_number, validators.ge(0)]
_count: list[Any] = [validators.instance_of(int), validators.ge(1)]


@runtime_checkable
class Codec(Protocol):
    """Objects to bytes and back."""

    name: ClassVar[str]
    content_type: ClassVar[str]

    def encode(self, obj: Any) -> bytes:
        """The bytes of `obj`; `LocalProtocolError` where it holds what the codec cannot carry.

        Those of a map begin neither with 0x78 nor with 28 B5 2F FD, by which compressed messages are told.
        """

    def decode(self, data: bytes) -> Any:
        """The object in `data`; `DecodeError` where it is not this codec's format."""


@frozen(kw_only=True)
class ClientOptions:
    """What a connection is told beyond its endpoint."""

    codec: Codec
    connect_timeout_s: float = field(default=2.0, validator=_above_0)
    """Seconds to wait for a peer to be there at all, before `ConnectFailed`."""
    heartbeat_interval_s: float = field(default=30.0, validator=_from_0)
    """Seconds of silence after which the peer is asked for a sign of life; 0: never."""
    liveness: int = field(default=3, validator=_count)
    """Heartbeat intervals without a sign of life after which the peer counts as gone."""
    max_message_bytes: int = field(default=64 * 1024 * 1024, validator=_count)
    """Larger messages are neither sent nor taken."""
    max_connections: int = field(default=64, validator=_count)
    """Sockets that one client opens at most; a call beyond waits for one, within its own time."""
    copies: int = field(default=3, validator=_count)
    """Copies of a call that share its time where the server runs none twice, so that a lost message costs a share only;
    1: no call is ever sent again."""
    compression: str = field(default="", validator=check_compression)
    """How large messages travel, with servers that can: compressed by `zlib` or `zstd`; empty: as they are."""
    breaker_failures: int = field(default=5, validator=[validators.instance_of(int), validators.ge(0)])
    """Failures in a row after which an endpoint is left alone for a moment; 0: never."""


@frozen(kw_only=True)
class ServerOptions:
    """What a server is told beyond its endpoint and service."""

    codec: Codec
    workers: int = field(default=16, validator=_count)
    """Threads for handlers that are not marked `inline`."""
    queue_limit: int = field(default=1000, validator=_count)
    """Requests waiting for a worker; one more is answered `busy`."""
    client_queue_limit: int = field(default=500, validator=_count)
    """Requests of one client that are waiting or being worked on; one more is answered `busy`."""
    heartbeat_interval_s: float = field(default=30.0, validator=_from_0)
    liveness: int = field(default=3, validator=_count)
    max_message_bytes: int = field(default=64 * 1024 * 1024, validator=_count)
    drain_s: float = field(default=5.0, validator=_from_0)
    """Seconds that `close` gives to requests already taken."""
    kept_answers: int = field(default=10_000, validator=_count)
    """Answers kept for copies of their calls, so that no call runs twice; the oldest go first."""
    kept_bytes: int = field(default=64 * 1024 * 1024, validator=_count)
    """What the answers kept may come to."""
    kept_s: float = field(default=300.0, validator=_above_0)
    """Seconds for which an answer is kept at most."""


class Connection(Protocol):
    """A client's side of a transport; safe to be shared by threads."""

    def request(self, request: Request) -> Response:
        """The peer's answer, an error answer included.

        Raises `ConnectFailed` (nothing was sent), `CallTimeout` or `ConnectionLost` (it may have run),
        `LocalProtocolError` (cannot be sent), `RemoteProtocolError` (the answer cannot be read), `ClientClosed`.
        """

    def close(self) -> None:
        """Let go of every socket and thread, promptly; does nothing when called again."""


class MultiplexConnection(Connection, Protocol):
    """A connection with `Capability.MULTIPLEX`."""

    def submit(self, request: Request) -> Future[Response]:
        """Send without waiting; the future ends as `request` would, in a value or one of its errors."""

    def request_many(self, requests: Sequence[Request]) -> list[Response | Exception]:
        """Send all, wait for all: answers in order, an error in place of what failed."""


class AsyncConnection(Protocol):
    """`Connection` for asyncio; belongs to the event loop it was made on."""

    async def request(self, request: Request) -> Response:
        """As `Connection.request`."""

    async def close(self) -> None:
        """As `Connection.close`."""


class Server(Protocol):
    """A bound endpoint that answers; ends with `close`."""

    @property
    def endpoint(self) -> str:
        """Where it can be reached: as bound, so a port of 0 has become the real one."""

    def close(self) -> None:
        """Refuse what is new, finish what was taken within `drain_s`, let go of everything; idempotent."""


@runtime_checkable
class Transport(Protocol):
    """A way to carry requests."""

    name: ClassVar[str]
    """The word a user types to select it, and the entry point's name."""
    capabilities: ClassVar[Capability]
    schemes: ClassVar[tuple[str, ...]]
    """Endpoint schemes it reads, the usual one first."""

    def connect(self, endpoint: str, options: ClientOptions) -> Connection:
        """A connection; `InvalidSetting` for an endpoint it cannot read. Does not wait for the peer."""

    def serve(self, endpoint: str, service: Service, options: ServerOptions) -> Server:
        """A running server; `BindFailed` where the endpoint cannot be had."""


@runtime_checkable
class AsyncTransport(Transport, Protocol):
    """A transport with a client of its own for asyncio; the others are run on threads."""

    def aconnect(self, endpoint: str, options: ClientOptions) -> AsyncConnection:
        """An asynchronous connection; called with an event loop running."""


@runtime_checkable
class GatewayTransport(Transport, Protocol):
    """A transport whose server can stand in front of another: it forwards over one asynchronous connection."""

    def serve_gateway(self, endpoint: str, upstream: Callable[[], AsyncConnection], options: ServerOptions) -> Server:
        """As `serve`, with `upstream` called once, on the server's own event loop, for the connection behind it."""


@runtime_checkable
class EventHandler(Protocol):
    """Takes the events of a stream, one after the other."""

    def handle_event(self, event: KVEvent) -> None:
        """Called for each event, in order; what it raises is counted and never stops the stream."""


class Subscription(Protocol):
    """A running event subscription; a context manager, or ends with `close`."""

    def close(self) -> None:
        """Stop delivering, let go of everything; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


@runtime_checkable
class EventTransport(Protocol):
    """A way to carry one-way event streams."""

    name: ClassVar[str]
    capabilities: ClassVar[Capability]
    schemes: ClassVar[tuple[str, ...]]

    def subscribe(self, endpoint: str, handler: EventHandler, options: Mapping[str, Any]) -> Subscription:
        """Deliver the endpoint's events to the handler until closed; `options` are the transport's own."""


@runtime_checkable
class DemoScene(Protocol):
    """Something that `kato-transport demo` shows."""

    title: str

    def lines(self) -> Iterator[str]:
        """What happens, told as it happens."""
