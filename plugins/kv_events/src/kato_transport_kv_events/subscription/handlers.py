"""Handlers: what one may know, and calling it so that what it raises is counted and harms nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from attrs import frozen

from kato_transport import EventHandler
from kato_transport.events import AllBlocksCleared, KVEvent, Origin
from kato_transport_kv_events.stream import Flaw, State
from kato_transport_kv_events.subscription.source import Source
from kato_transport_kv_events.subscription.stats import Tally

log = logging.getLogger("kato_transport.kv_events")

Handler = EventHandler | Callable[[KVEvent], None]


class SourceObserver(Protocol):
    """What a handler may have beside `handle_event`; each is called only where it is there."""

    def forget(self, pod: str, rank: int) -> None:
        """What the source held is gone; in place of an `AllBlocksCleared`."""

    def source_changed(self, pod: str, rank: int, model: str, state: State) -> None:
        """The source is in another state, or has just been added."""

    def source_removed(self, pod: str, rank: int) -> None:
        """The source is not followed any more."""

    def report_flaws_to(self, tell: Callable[[str, int, Flaw], None]) -> None:
        """`tell` is to be called where the handler lost something of what it was told; called once, before anything else."""


@frozen(eq=False)
class Subject:
    """A source and its counts, for telling whom it is about."""

    source: Source
    tally: Tally


class Direct:
    """Calls a handler at once."""

    inline = True
    queued = 0

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.failures = 0
        self.dropped = 0
        self.deaf = False
        self._handle = function_of(handler)
        self._forget = getattr(handler, "forget", None)
        self._changed = getattr(handler, "source_changed", None)
        self._removed = getattr(handler, "source_removed", None)
        self.knows_states = self._changed is not None
        self.knows_ends = self._removed is not None

    def events(self, subject: Subject, events: tuple[KVEvent, ...]) -> None:
        handle = self._handle
        for event in events:
            if self.deaf:
                return
            try:
                handle(event)
            except Exception:
                self._failed(subject)

    def forget(self, subject: Subject, origin: Origin) -> None:
        if self._forget is None:
            self.events(subject, (AllBlocksCleared(origin=origin),))
        else:
            self._call(subject, self._forget, subject.source.pod, subject.source.rank)

    def changed(self, subject: Subject, state: State) -> None:
        source = subject.source
        self._call(subject, self._changed, source.pod, source.rank, source.model, state)

    def removed(self, subject: Subject) -> None:
        self._call(subject, self._removed, subject.source.pod, subject.source.rank)

    def close(self, drain_s: float) -> None:
        self.deaf = True

    def _call(self, subject: Subject, function: Callable[..., None] | None, *args: Any) -> None:
        if function is None or self.deaf:
            return
        try:
            function(*args)
        except Exception:
            self._failed(subject)

    def _failed(self, subject: Subject) -> None:
        self.failures += 1
        subject.tally.handler_failed()
        if not self.failures & (self.failures - 1):  # the first, second, fourth, …
            log.exception("handler %r failed, for the %d. time", self.handler, self.failures)


def function_of(handler: Handler) -> Callable[[KVEvent], None]:
    return handler.handle_event if isinstance(handler, EventHandler) else handler
