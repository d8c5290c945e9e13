"""`KVEventManager`: follows many sources on one thread and tells handlers what they say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from attrs import evolve

from kato_transport import ClientClosed, InvalidSetting, fork
from kato_transport_kv_events.stream import Checkpoint, Flaw, State, StreamSettings
from kato_transport_kv_events.subscription.audience import Audience, HandlerStats
from kato_transport_kv_events.subscription.dialled import DialledSocket
from kato_transport_kv_events.subscription.feed import Feed
from kato_transport_kv_events.subscription.handlers import Handler
from kato_transport_kv_events.subscription.limits import Limits
from kato_transport_kv_events.subscription.listener import Listener, ListenerStats
from kato_transport_kv_events.subscription.loop import Loop
from kato_transport_kv_events.subscription.replay import Replays
from kato_transport_kv_events.subscription.source import Source
from kato_transport_kv_events.subscription.stats import SourceStats

DRAIN_S = 1.0
"""What handlers with a queue get at the end to take what waits for them."""
T = TypeVar("T")
Key = tuple[str, int]
"""A pod and one of its ranks."""


class KVEventManager:
    """Follows sources until `close`; may be shared by threads, and called by its own handlers.

    It tells `handlers` and nobody else: those that extensions register are `kato_transport.registry().event_handlers(…)`.
    `settings` say how a source is followed, but for the policy, which is the source's own; `checkpoints` of a snapshot are
    for sources that will be added, each once. A forked child has the manager without its sources, and may add some anew.
    """

    def __init__(
        self,
        handlers: Iterable[Handler] = (),
        *,
        settings: StreamSettings | None = None,
        limits: Limits | None = None,
        checkpoints: Mapping[Key, Checkpoint] | None = None,
    ) -> None:
        self._checkpoints = dict(checkpoints or {})
        self._handlers = list(handlers)
        self._settings = settings or StreamSettings()
        self._limits = limits or Limits()
        self._closed = False
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._replays: Replays | None = None
        self._feeds: dict[Key, Feed] = {}
        self._listeners: list[Listener] = []
        self._audience = Audience(self._handlers, self._limits.handler_queue)
        for handler in self._handlers:
            if (report := getattr(handler, "report_flaws_to", None)) is not None:
                report(self.flawed)
        fork.watch(self)

    # --- sources ------------------------------------------------------------------------------------------------

    def add_source(self, source: Source, checkpoints: Mapping[int, Checkpoint] | None = None) -> None:
        """Follow a source, each of its ranks by itself; `checkpoints` are those of a snapshot, by rank, in place of those
        that the manager was given.

        `InvalidSetting` where it is malformed or followed already, `BindFailed` where its endpoint cannot be had; then
        none of its ranks is followed.
        """
        parts = source.parts()
        restored = checkpoints or {}

        def add() -> None:
            self._check_new(parts)
            self._follow(parts, restored)

        self._on_loop(add)

    def update_source(self, source: Source) -> None:
        """Follow a source as it is now, at another address or otherwise; one that is not followed yet is added.

        A rank that has changed is removed and begins anew, one that has not is left alone; a rank that the source has no more
        is to be removed by itself. All in one step: where `add_source` would refuse it, that is raised, and what was followed
        still is.
        """
        parts = source.parts()

        def update() -> None:
            self._follow([part for part in parts if not self._is_followed(part)], {})

        self._on_loop(update)

    def remove_source(self, pod: str, rank: int | None = None) -> None:
        """Follow a pod no more, or one of its ranks; does nothing where it is not followed."""

        def remove() -> None:
            for key in [key for key in self._feeds if key[0] == pod and rank in (None, key[1])]:
                self._remove(key)

        self._on_loop(remove)

    def state(self, pod: str, rank: int = 0) -> State | None:
        """How far a source can be relied upon now; None where it is not followed."""
        feed = self._feeds.get((pod, rank))
        return None if feed is None else feed.state

    def stats(self) -> list[SourceStats]:
        """What is counted of each source, by pod and rank."""
        feeds = self._feeds
        return [feeds[key].stats() for key in sorted(feeds)]

    def handler_stats(self) -> list[HandlerStats]:
        """What is counted of each handler, in their order."""
        return self._audience.stats()

    def listener_stats(self) -> list[ListenerStats]:
        """What is counted of each bound endpoint, beyond its sources."""
        return [listener.stats() for listener in self._listeners]

    # --- for handlers that keep something -----------------------------------------------------------------------

    def flawed(self, pod: str, rank: int, flaw: Flaw) -> None:
        """Say that something of a source's events was lost on the way into what a handler keeps; nothing after `close`."""

        def lower() -> None:
            feed = self._feeds.get((pod, rank))
            if feed is not None:
                feed.flawed(flaw)

        with suppress(ClientClosed):
            self._on_loop(lower)

    def at_rest(self, function: Callable[[Mapping[Key, Checkpoint]], T]) -> T:
        """What a function makes of the checkpoints of all sources, those that the manager was given and that have not been
        added included, between two batches.

        What it reads of handlers that are called inline goes with them: a snapshot.
        """

        def run() -> T:
            checkpoints = {key: feed.checkpoint() for key, feed in self._feeds.items()}
            known = {key: checkpoint for key, checkpoint in checkpoints.items() if checkpoint is not None}
            return function({**self._checkpoints, **known})

        return self._on_loop(run)

    def abandon_checkpoints(self) -> list[Key]:
        """Give up the checkpoints of sources that have not been added; says whose they are."""

        def abandon() -> list[Key]:
            abandoned, self._checkpoints = [*self._checkpoints], {}
            return abandoned

        return self._on_loop(abandon)

    # --- end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop following, let queued handlers have what waits for them, let go of everything; idempotent."""
        with self._lock:
            loop = None if self._closed else self._loop
            self._closed = True
        if loop is not None:
            loop.call(self._remove_all)
            loop.stop()
        self._audience.close(DRAIN_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def after_fork_in_child(self) -> None:
        """The parent's thread is not here, and its sockets are not to be touched."""
        fork.abandon((self._loop, self._audience, self._feeds, self._listeners, self._replays))
        self._lock = threading.Lock()
        self._loop = self._replays = None
        self._feeds, self._listeners = {}, []
        self._audience = Audience(self._handlers, self._limits.handler_queue)

    def _on_loop(self, function: Callable[[], T]) -> T:
        with self._lock:
            if self._closed:
                raise ClientClosed("the manager is closed")
            if self._loop is None:
                self._loop = Loop("kato-kv-events")
                self._replays = Replays(self._loop, self._limits)
            loop = self._loop

        def run() -> T:
            if self._closed:  # meanwhile; what was begun now would never be ended
                raise ClientClosed("the manager is closed")
            return function()

        return loop.call(run)

    # --- on the loop's thread -----------------------------------------------------------------------------------

    def _check_new(self, parts: tuple[Source, ...]) -> None:
        for part in parts:
            if _key(part) in self._feeds:
                raise InvalidSetting(
                    f"source {part.pod!r}, rank {part.rank}, is followed already; remove it first, or update it"
                )

    def _is_followed(self, part: Source) -> bool:
        feed = self._feeds.get(_key(part))
        return feed is not None and feed.source == part

    def _follow(self, parts: Sequence[Source], restored: Mapping[int, Checkpoint]) -> None:
        """In place of what goes by their names; nobody is told of any before all of them could be opened."""
        self._check_room(parts)
        opened: list[Feed] = []
        try:
            for part in parts:
                opened.append(self._opened(part, restored.get(part.rank, self._checkpoints.get(_key(part)))))
        except BaseException:
            for feed in opened:
                self._release(feed)
            raise
        for feed in opened:
            self._begin(feed)

    def _check_room(self, parts: Sequence[Source]) -> None:
        new = [part for part in parts if _key(part) not in self._feeds]
        if new and len(self._feeds) + len(new) > self._limits.max_sources:
            raise InvalidSetting(f"source {new[0].pod!r}: there are {len(self._feeds)} of at most {self._limits.max_sources}")

    def _opened(self, source: Source, restored: Checkpoint | None) -> Feed:
        loop, replays = self._loop, self._replays
        assert loop is not None
        assert replays is not None
        feed = Feed(source, evolve(self._settings, policy=source.policy), loop, replays, self._audience, restored)
        if source.replay_endpoint:
            replays.check(source.replay_endpoint)
        feed.socket = self._listener(loop, source.endpoint) if source.bind else DialledSocket(loop, source, self._limits)
        feed.socket.serve(feed)
        return feed

    def _begin(self, feed: Feed) -> None:
        key = _key(feed.source)
        before = self._feeds.get(key)
        self._checkpoints.pop(key, None)
        self._feeds = {**self._feeds, key: feed}  # another, as others read it without a lock
        if before is not None:
            before.close()
            self._release(before)
        if self._feeds.get(key) is feed:  # a handler that was told of the end may have removed it
            feed.begin(time.monotonic())

    def _listener(self, loop: Loop, endpoint: str) -> Listener:
        for listener in self._listeners:
            if endpoint in (listener.asked_for, listener.endpoint):
                return listener
        listener = Listener(loop, endpoint, self._limits)
        self._listeners.append(listener)
        return listener

    def _remove(self, key: Key) -> None:
        feed = self._feeds[key]
        self._feeds = {other: kept for other, kept in self._feeds.items() if other != key}
        feed.close()
        self._release(feed)

    def _release(self, feed: Feed) -> None:
        assert feed.socket is not None
        feed.socket.release(feed)
        self._listeners = [listener for listener in self._listeners if listener.is_used]

    def _remove_all(self) -> None:
        for key in list(self._feeds):
            self._remove(key)


def _key(source: Source) -> Key:
    return source.pod, source.rank
