"""`KVMetrics`: all metrics of a manager at the moment when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from kato_transport_kv_events.metrics import tables
from kato_transport_kv_events.subscription.audience import HandlerStats
from kato_transport_kv_events.subscription.listener import ListenerStats
from kato_transport_kv_events.subscription.stats import SourceStats


class Counted(Protocol):
    """What a `KVEventManager` tells of itself."""

    def stats(self) -> list[SourceStats]: ...
    def handler_stats(self) -> list[HandlerStats]: ...
    def listener_stats(self) -> list[ListenerStats]: ...


class KVMetrics(Collector):
    """May be registered with any registry of prometheus_client; `exposition` needs none."""

    content_type = CONTENT_TYPE_LATEST
    """Of an exposition."""

    def __init__(self, manager: Counted) -> None:
        self._manager = manager
        self._own = CollectorRegistry(auto_describe=False)
        self._own.register(self)

    def exposition(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._own)

    def collect(self) -> Iterator[Family]:
        sources = [((stats.pod, str(stats.rank)), stats) for stats in self._manager.stats()]
        handlers = [((stats.name, str(number)), stats) for number, stats in enumerate(self._manager.handler_stats())]
        listeners = [((stats.endpoint,), stats) for stats in self._manager.listener_stats()]
        for of_source in tables.SOURCE:
            yield of_source.family(tables.SOURCE_LABELS, sources)
        for of_handler in tables.HANDLER:
            yield of_handler.family(tables.HANDLER_LABELS, handlers)
        for of_listener in tables.LISTENER:
            yield of_listener.family(tables.LISTENER_LABELS, listeners)
