"""The verbs: `serve`, `gateway`, `connect`, `aconnect` and `subscribe`, each a transport chosen by name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from attrs import define, evolve

from kato_transport.client import AsyncClient, Client, checked_timeout
from kato_transport.contracts import (
    AsyncConnection,
    AsyncTransport,
    ClientOptions,
    Connection,
    EventHandler,
    GatewayTransport,
    Server,
    Subscription,
    Transport,
)
from kato_transport.errors import InvalidSetting, PluginBroken, TransportError, UnsupportedCapability
from kato_transport.events import KVEvent
from kato_transport.plugins import registry
from kato_transport.reliable import AsyncReliableConnection, ReliableConnection
from kato_transport.service import as_service
from kato_transport.settings import Settings
from kato_transport.threaded import ThreadedConnection

log = logging.getLogger("kato_transport.events")
T = TypeVar("T")

Endpoints = str | Sequence[str]
"""One endpoint, or several that serve the same: calls go where the fewest are under way, and around those that are gone."""

FAIL_OVER_S = 0.25
"""How long one of several endpoints is waited for before the next is tried, as in RFC 8305, "Happy Eyeballs"."""


class RunningServer:
    """A server under way; ends with `close` or its `with` block."""

    def __init__(self, server: Server, transport: str) -> None:
        self._server = server
        self.transport = transport

    @property
    def endpoint(self) -> str:
        """Where it can be reached: as bound, so a port of 0 has become the real one."""
        return self._server.endpoint

    def stats(self) -> Mapping[str, Any]:
        """The transport's own counters; empty where it keeps none."""
        stats: Callable[[], Mapping[str, Any]] = getattr(self._server, "stats", dict)
        return stats()

    def close(self) -> None:
        """Refuse what is new, finish what was taken within the drain time, let go of everything; idempotent."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def serve(
    served: Any, endpoint: str, *, transport: str | None = None, codec: str | None = None, **options: Any
) -> RunningServer:
    """Serve a function `Request -> Response`, a map of methods to functions, or one or several processors.

    `transport` and `codec` are installed names, by default those of the environment; `options` are fields of
    `ServerOptions`. `ConfigurationError` (an unknown name, an invalid option, a port in use) before anything runs.
    """
    settings = Settings.from_env()
    found = registry().transport(transport or settings.transport)
    server_options = settings.server_options(registry().codec(codec or settings.codec), **options)
    service = as_service(served)
    return RunningServer(_from(found, lambda: found.serve(endpoint, service, server_options)), found.name)


def gateway(
    endpoint: str,
    upstream_endpoint: Endpoints,
    *,
    transport: str = "rest",
    upstream_transport: str | None = None,
    **options: Any,
) -> RunningServer:
    """Serve at `endpoint` what a server of another transport answers, over one shared asynchronous client of it.

    The upstream does not have to be there yet. `options` are fields of `ServerOptions`; `UnsupportedCapability` where the
    transport has no gateway.
    """
    settings = Settings.from_env()
    found = registry().transport(transport)
    if not isinstance(found, GatewayTransport):
        raise UnsupportedCapability(f"transport {found.name!r} cannot stand in front of another")
    codec = registry().codec(settings.codec)
    upstream = registry().transport(upstream_transport or settings.transport)

    def connect_upstream() -> AsyncConnection:
        return _async_connection(upstream, _several(upstream_endpoint), settings.client_options(codec))

    server_options = settings.server_options(codec, **options)
    return RunningServer(_from(found, lambda: found.serve_gateway(endpoint, connect_upstream, server_options)), found.name)


def connect(
    endpoint: Endpoints,
    *,
    transport: str | None = None,
    codec: str | None = None,
    timeout_s: float | None = None,
    **options: Any,
) -> Client:
    """A client for threads. `timeout_s` is what a call waits unless it says otherwise; `options` are fields of
    `ClientOptions`. `ConfigurationError` for names and options that do not exist; no peer has to be there yet.
    """
    settings = Settings.from_env()
    found = registry().transport(transport or settings.transport)
    client_options = settings.client_options(registry().codec(codec or settings.codec), **options)
    wait_s = _timeout(settings, timeout_s)
    endpoints = _several(endpoint)
    each = _of_several(client_options, endpoints)
    connections: list[tuple[str, Connection]] = []
    try:
        for one in endpoints:
            connections.append((one, _connected(found, one, each)))
    except BaseException:
        for _, connection in connections:
            connection.close()
        raise
    return Client(ReliableConnection(connections, client_options), ", ".join(endpoints), wait_s)


def aconnect(
    endpoint: Endpoints,
    *,
    transport: str | None = None,
    codec: str | None = None,
    timeout_s: float | None = None,
    **options: Any,
) -> AsyncClient:
    """A client for the running event loop; otherwise as `connect`."""
    settings = Settings.from_env()
    found = registry().transport(transport or settings.transport)
    client_options = settings.client_options(registry().codec(codec or settings.codec), **options)
    wait_s = _timeout(settings, timeout_s)
    endpoints = _several(endpoint)
    return AsyncClient(_async_connection(found, endpoints, client_options), ", ".join(endpoints), wait_s)


def _several(endpoint: Endpoints) -> tuple[str, ...]:
    endpoints = (endpoint,) if isinstance(endpoint, str) else tuple(endpoint)
    if not endpoints or len(set(endpoints)) < len(endpoints):
        raise InvalidSetting(f"expected one endpoint, or several different ones, not {endpoint!r}")
    return endpoints


def _of_several(options: ClientOptions, endpoints: Sequence[str]) -> ClientOptions:
    """Options of one connection: with others to turn to, none is waited for long."""
    if len(endpoints) == 1:
        return options
    return evolve(options, connect_timeout_s=min(options.connect_timeout_s, FAIL_OVER_S))


def _connected(transport: Transport, endpoint: str, options: ClientOptions) -> Connection:
    return _from(transport, lambda: transport.connect(endpoint, options))


def _async_connection(transport: Transport, endpoints: Sequence[str], options: ClientOptions) -> AsyncReliableConnection:
    each = _of_several(options, endpoints)
    return AsyncReliableConnection([(one, _aconnected(transport, one, each)) for one in endpoints], options)


def _aconnected(transport: Transport, endpoint: str, options: ClientOptions) -> AsyncConnection:
    if isinstance(transport, AsyncTransport):
        return _from(transport, lambda: transport.aconnect(endpoint, options))
    return ThreadedConnection(_connected(transport, endpoint, options))


def _from(transport: Transport, make: Callable[[], T]) -> T:
    """What a transport makes; what it raises beyond its contract is told as the plugin's fault."""
    try:
        return make()
    except (TransportError, MemoryError):
        raise
    except Exception as exc:
        raise PluginBroken(transport.name, f"{type(exc).__name__}: {exc}") from exc


def subscribe(
    endpoint: str, handler: EventHandler | Callable[[KVEvent], None], *, transport: str = "kv_events", **options: Any
) -> Subscription:
    """Deliver an endpoint's events to a handler, and to every handler that an extension registers, until closed.

    `options` are the transport's own. A handler that raises is counted and logged; the stream and the others go on.
    """
    found = registry().event_transport(transport)
    own = handler if isinstance(handler, EventHandler) else _Function(handler)
    return found.subscribe(endpoint, Fanout([own, *registry().event_handlers(Settings.from_env())]), options)


@define
class _Function:
    function: Callable[[KVEvent], None]

    def handle_event(self, event: KVEvent) -> None:
        self.function(event)


class Fanout:
    """An `EventHandler` that hands each event to several, each isolated from the others' failures.

    A transport that can do more for them, as giving each a queue of its own, takes its `handlers` instead.
    """

    def __init__(self, handlers: Iterable[EventHandler]) -> None:
        self.handlers = tuple(handlers)
        self.failures = 0

    def handle_event(self, event: KVEvent) -> None:
        for handler in self.handlers:
            try:
                handler.handle_event(event)
            except Exception:
                self.failures += 1
                log.exception("event handler %r failed", handler)


def _timeout(settings: Settings, timeout_s: float | None) -> float:
    chosen = settings.timeout_s if timeout_s is None else timeout_s
    return checked_timeout(chosen)
