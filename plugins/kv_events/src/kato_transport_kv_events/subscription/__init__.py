"""Following engines: sockets, threads and handlers around the state machine of `stream`.

The module of the entry point; it imports nothing that takes time before somebody subscribes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from kato_transport import Capability, EventHandler, hookimpl

if TYPE_CHECKING:
    from kato_transport.contracts import EventTransport
    from kato_transport_kv_events.subscription.audience import HandlerStats
    from kato_transport_kv_events.subscription.following import KVEventManager
    from kato_transport_kv_events.subscription.limits import Limits
    from kato_transport_kv_events.subscription.listener import ListenerStats
    from kato_transport_kv_events.subscription.source import Source
    from kato_transport_kv_events.subscription.stats import SourceStats
    from kato_transport_kv_events.subscription.transport import KVEventSubscription

__all__ = ["HandlerStats", "KVEventManager", "KVEventSubscription", "Limits", "ListenerStats", "Source", "SourceStats"]

_HOMES = {
    "HandlerStats": "audience",
    "KVEventManager": "following",
    "KVEventSubscription": "transport",
    "Limits": "limits",
    "ListenerStats": "listener",
    "Source": "source",
    "SourceStats": "stats",
}


class KVEventsTransport:
    """Events of vLLM and SGLang engines, in order, with what was missed asked for again."""

    name: ClassVar[str] = "kv_events"
    capabilities: ClassVar[Capability] = Capability.SUBSCRIBE | Capability.REPLAY
    schemes: ClassVar[tuple[str, ...]] = ("tcp", "ipc")

    def subscribe(self, endpoint: str, handler: EventHandler, options: Mapping[str, Any]) -> KVEventSubscription:
        from kato_transport_kv_events.subscription.transport import open_subscription

        return open_subscription(endpoint, handler, options)


@hookimpl
def kato_register_transports() -> Iterable[EventTransport]:
    return [KVEventsTransport()]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
