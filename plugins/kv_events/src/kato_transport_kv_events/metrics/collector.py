"""`KVMetrics`: all metrics of a manager at the moment when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from kato_transport_kv_events.discovery import DiscoveryStats
from kato_transport_kv_events.index import IndexStats
from kato_transport_kv_events.keeping import SnapshotStats
from kato_transport_kv_events.metrics import tables
from kato_transport_kv_events.metrics.metric import families
from kato_transport_kv_events.subscription.audience import HandlerStats
from kato_transport_kv_events.subscription.listener import ListenerStats
from kato_transport_kv_events.subscription.stats import SourceStats


class Counted(Protocol):
    """What a `KVEventManager` tells of itself."""

    def stats(self) -> list[SourceStats]: ...
    def handler_stats(self) -> list[HandlerStats]: ...
    def listener_stats(self) -> list[ListenerStats]: ...


class Indexing(Protocol):
    """What a `BlockIndex` tells of itself."""

    def stats(self) -> IndexStats: ...


class Finding(Protocol):
    """What a `Roster` tells of its discovery."""

    def stats(self) -> DiscoveryStats: ...


class Saving(Protocol):
    """What `Snapshots` tell of themselves."""

    def stats(self) -> SnapshotStats: ...


class KVMetrics(Collector):
    """May be registered with any registry of prometheus_client; `exposition` needs none."""

    content_type = CONTENT_TYPE_LATEST
    """Of an exposition."""

    def __init__(
        self,
        manager: Counted,
        index: Indexing | None = None,
        rosters: Sequence[Finding] = (),
        snapshots: Saving | None = None,
    ) -> None:
        self._manager = manager
        self._index = index
        self._rosters = rosters
        self._snapshots = snapshots
        self._own = CollectorRegistry(auto_describe=False)
        self._own.register(self)

    def exposition(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._own)

    def collect(self) -> Iterator[Family]:
        manager = self._manager
        sources = [((stats.pod, str(stats.rank)), stats) for stats in manager.stats()]
        handlers = [((stats.name, str(number)), stats) for number, stats in enumerate(manager.handler_stats())]
        listeners = [((stats.endpoint,), stats) for stats in manager.listener_stats()]
        indexes = [] if self._index is None else [((), self._index.stats())]
        discoveries = [((stats.name,), stats) for stats in (roster.stats() for roster in self._rosters)]
        snapshots = [] if self._snapshots is None else [((), self._snapshots.stats())]
        yield from families(tables.SOURCE, tables.SOURCE_LABELS, sources)
        yield from families(tables.HANDLER, tables.HANDLER_LABELS, handlers)
        yield from families(tables.LISTENER, tables.LISTENER_LABELS, listeners)
        yield from families(tables.INDEX, (), indexes)
        yield from families(tables.DISCOVERY, tables.DISCOVERY_LABELS, discoveries)
        yield from families(tables.SNAPSHOTS, (), snapshots)
