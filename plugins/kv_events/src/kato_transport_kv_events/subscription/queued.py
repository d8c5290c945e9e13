"""A handler with a thread and a bounded queue of its own, so that it holds up nobody but itself.

What finds no room is dropped and counted, and told to it as `EventsLost` as soon as there is room again. What it has to
know all the same, that a source was forgotten or is in another state, is kept until then, once for each source.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from attrs import define, field

from kato_transport.events import EventsLost, KVEvent, Origin
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.subscription.handlers import Direct, Handler, Subject


@define
class Backlog:
    """What a slow handler has to be told of a source before anything else, in this order."""

    forgotten: Origin | None = None
    lost: EventsLost | None = None
    state: State | None = None
    removed: bool = False


@define(eq=False)
class Queued:
    """Calls a handler from a thread of its own."""

    _direct: Direct
    _limit: int
    dropped: int = 0
    queued: int = 0
    inline: bool = False
    _works: deque[tuple[int, Callable[[], None]]] = field(factory=deque)
    _backlogs: dict[Subject, Backlog] = field(factory=dict)
    _changed: threading.Condition = field(factory=threading.Condition)
    _closing: bool = False
    _thread: threading.Thread | None = None

    @property
    def handler(self) -> Handler:
        return self._direct.handler

    @property
    def failures(self) -> int:
        return self._direct.failures

    # --- on the I/O thread --------------------------------------------------------------------------------------

    def events(self, subject: Subject, events: tuple[KVEvent, ...]) -> None:
        with self._changed:
            if self._has_room(subject, len(events)):
                self._push(len(events), partial(self._direct.events, subject, events))
            else:
                self.dropped += len(events)
                backlog = self._backlog(subject)
                backlog.lost = _and_lost(backlog.lost, events)

    def forget(self, subject: Subject, origin: Origin) -> None:
        with self._changed:
            if self._has_room(subject, 1):
                self._push(1, partial(self._direct.forget, subject, origin))
            else:
                self._backlogs[subject] = Backlog(forgotten=origin, state=self._backlog(subject).state)

    def changed(self, subject: Subject, state: State) -> None:
        if not self._direct.knows_states:
            return
        with self._changed:
            if self._has_room(subject, 1):
                self._push(1, partial(self._direct.changed, subject, state))
            else:
                self._backlog(subject).state = state

    def removed(self, subject: Subject) -> None:
        if not self._direct.knows_ends:
            return
        with self._changed:
            if self._has_room(subject, 1):
                self._push(1, partial(self._direct.removed, subject))
            else:
                self._backlogs[subject] = Backlog(removed=True)

    def close(self, drain_s: float) -> None:
        """Let the handler have what waits for it, if it takes it in time; then it hears nothing more."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(drain_s)
        self._direct.deaf = True
        with self._changed:
            self._works.clear()
            self._backlogs.clear()

    # --- inside -------------------------------------------------------------------------------------------------

    def _has_room(self, subject: Subject, count: int) -> bool:
        """Whether it can be queued; what it was not told of this source before goes first."""
        if self.queued + count > self._limit:
            return False
        if subject in self._backlogs:
            self._push(1, self._telling(subject, self._backlogs.pop(subject)))
        return True

    def _backlog(self, subject: Subject) -> Backlog:
        return self._backlogs.setdefault(subject, Backlog())

    def _push(self, count: int, work: Callable[[], None]) -> None:
        self._works.append((count, work))
        self.queued += count
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kato-kv-handler", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._works or self._backlogs or self._closing)
            if self._works:
                count, work = self._works.popleft()
                self.queued -= count
                return work
            if self._backlogs:
                subject, backlog = self._backlogs.popitem()
                return self._telling(subject, backlog)
            return None

    def _telling(self, subject: Subject, backlog: Backlog) -> Callable[[], None]:
        def tell() -> None:
            if backlog.forgotten is not None:
                self._direct.forget(subject, backlog.forgotten)
            if backlog.lost is not None:
                self._direct.events(subject, (backlog.lost,))
            if backlog.state is not None:
                self._direct.changed(subject, backlog.state)
            if backlog.removed:
                self._direct.removed(subject)

        return tell


def _and_lost(lost: EventsLost | None, events: tuple[KVEvent, ...]) -> EventsLost:
    """What was lost before, and these, which are of one batch or a word about lost ones."""
    event = events[0]
    first, last = (event.first, event.last) if isinstance(event, EventsLost) else (event.origin.sequence,) * 2
    return EventsLost(origin=event.origin, first=first if lost is None else lost.first, last=last)
