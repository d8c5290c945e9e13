"""The `kv_events` transport: `kt.subscribe` to one engine."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from attrs import fields

from kato_transport import EventHandler, Fanout, InvalidSetting
from kato_transport_kv_events.stream import State, StreamSettings
from kato_transport_kv_events.subscription.audience import HandlerStats
from kato_transport_kv_events.subscription.following import KVEventManager
from kato_transport_kv_events.subscription.limits import Limits
from kato_transport_kv_events.subscription.source import Source
from kato_transport_kv_events.subscription.stats import SourceStats

C = TypeVar("C")


class KVEventSubscription:
    """One engine being followed; ends with `close`."""

    def __init__(self, source: Source, handler: EventHandler, settings: StreamSettings, limits: Limits) -> None:
        self._source = source
        handlers = handler.handlers if isinstance(handler, Fanout) else (handler,)
        self._manager = KVEventManager(handlers, settings=settings, limits=limits)
        try:
            self._manager.add_source(source)
        except BaseException:
            self._manager.close()
            raise

    @property
    def endpoint(self) -> str:
        """Of the first rank; as bound, where it is."""
        return self._manager.stats()[0].endpoint

    def state(self, rank: int | None = None) -> State | None:
        """How far what was told can be relied upon, for the first rank or another; None after `close`."""
        return self._manager.state(self._source.pod, self._source.rank if rank is None else rank)

    def stats(self) -> list[SourceStats]:
        """What is counted, by rank."""
        return self._manager.stats()

    def handler_stats(self) -> list[HandlerStats]:
        """What is counted of each handler: the subscriber's own, then those that extensions registered."""
        return self._manager.handler_stats()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop delivering, let go of everything; idempotent."""
        self._manager.close()


def open_subscription(endpoint: str, handler: EventHandler, options: Mapping[str, Any]) -> KVEventSubscription:
    """`options` are fields of `Source`, `StreamSettings` and `Limits`; the pod is called like the endpoint unless told."""
    taken = {kind: _fields(kind) for kind in (Source, StreamSettings, Limits)}
    known = set[str]().union(*taken.values()) - {"endpoint"}
    for name in options:
        if name not in known:
            raise InvalidSetting(f"kv_events subscriptions have no option {name!r}; they have: {', '.join(sorted(known))}")
    given = {"pod": endpoint, **options, "endpoint": endpoint}
    source = _made(Source, given)
    return KVEventSubscription(source, handler, _made(StreamSettings, given), _made(Limits, given))


def _fields(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}


def _made(kind: type[C], given: Mapping[str, Any]) -> C:
    try:
        return kind(**{name: value for name, value in given.items() if name in _fields(kind)})
    except (TypeError, ValueError) as exc:
        raise InvalidSetting(str(exc)) from exc
