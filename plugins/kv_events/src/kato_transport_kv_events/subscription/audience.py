"""All handlers of a manager, each told by itself.

One that is marked `inline` is called on the I/O thread, at the very moment: what it keeps is what a source's state is
about. Any other has a thread and a queue.
"""

from __future__ import annotations

import time

from attrs import frozen

from kato_transport.events import KVEvent, Origin
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.subscription.handlers import Direct, Handler, Subject, function_of
from kato_transport_kv_events.subscription.queued import Queued


@frozen(kw_only=True)
class HandlerStats:
    """A handler at one moment."""

    name: str
    inline: bool
    queued: int
    """Events that wait for it."""
    failures: int
    """Times that it raised."""
    dropped: int
    """Events that found no room in its queue."""


class Audience:
    """All handlers of a manager."""

    def __init__(self, handlers: list[Handler], queue_limit: int) -> None:
        self._deliveries: list[Direct | Queued] = [_delivery(handler, queue_limit) for handler in handlers]

    def events(self, subject: Subject, events: tuple[KVEvent, ...]) -> None:
        """Events of one batch; there may be none."""
        if events:
            for delivery in self._deliveries:
                delivery.events(subject, events)

    def forget(self, subject: Subject, origin: Origin) -> None:
        for delivery in self._deliveries:
            delivery.forget(subject, origin)

    def changed(self, subject: Subject, state: State) -> None:
        for delivery in self._deliveries:
            delivery.changed(subject, state)

    def removed(self, subject: Subject) -> None:
        for delivery in self._deliveries:
            delivery.removed(subject)

    def close(self, drain_s: float) -> None:
        """All of them within one time."""
        deadline = time.monotonic() + drain_s
        for delivery in self._deliveries:
            delivery.close(max(0.0, deadline - time.monotonic()))

    def stats(self) -> list[HandlerStats]:
        return [
            HandlerStats(
                name=type(delivery.handler).__qualname__,
                inline=delivery.inline,
                queued=delivery.queued,
                failures=delivery.failures,
                dropped=delivery.dropped,
            )
            for delivery in self._deliveries
        ]


def _delivery(handler: Handler, queue_limit: int) -> Direct | Queued:
    direct = Direct(handler)
    return direct if getattr(function_of(handler), "kato_inline", False) else Queued(direct, queue_limit)
