"""`Roster`: has a manager follow what a discovery finds, and nothing else of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from attrs import frozen

from kato_transport import ClientClosed, fork
from kato_transport_kv_events.discovery.back_off import BackOff
from kato_transport_kv_events.discovery.complaints import Complaints
from kato_transport_kv_events.discovery.contract import Discovery
from kato_transport_kv_events.discovery.reconcile import changes
from kato_transport_kv_events.subscription.source import Source

if TYPE_CHECKING:
    from kato_transport_kv_events.subscription.following import KVEventManager

CLOSE_S: Final = 3.0
"""How long closing waits for a lookup that cannot be interrupted, as the system's resolver cannot."""

log = logging.getLogger("kato_transport.kv_events")


@frozen(kw_only=True)
class DiscoveryStats:
    """A discovery at one moment; counts only rise."""

    name: str
    wanted: int
    """Sources found last."""
    followed: int
    """Those of them that the manager took."""
    errors: Mapping[str, int]
    """By category: `lookup`, `source`, `add`, `crash`."""
    last_success_at: float
    """When it last found out what there is, in Unix seconds; 0 before the first time."""


class Roster:
    """Runs a discovery from its making until `close`, and keeps a manager's sources as it finds them.

    Sources that others added are left alone. One that the manager refuses is told, tried again at every report, and keeps
    no other from being followed. What is followed stays so after `close`. A forked child has neither discovery nor sources.
    """

    def __init__(self, manager: KVEventManager, discovery: Discovery) -> None:
        self._manager = manager
        self._discovery = discovery
        self._complaints = Complaints(discovery.name)
        self._followed: dict[Source, None] = {}
        self._wanted = 0
        self._last_success_at = 0.0
        self._applying = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = threading.Thread(target=self._run, name="kato-kv-discovery", daemon=True)
        fork.watch(self)
        self._thread.start()

    def stats(self) -> DiscoveryStats:
        return DiscoveryStats(
            name=self._discovery.name,
            wanted=self._wanted,
            followed=len(self._followed),
            errors=self._complaints.counts(),
            last_success_at=self._last_success_at,
        )

    def close(self) -> None:
        """Find no more; idempotent. A thread that hangs in a lookup ends with it, and changes nothing any more."""
        self._closed.set()
        thread = self._thread
        if thread is None:
            return
        self._discovery.close()
        if thread is not threading.current_thread():
            thread.join(CLOSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # --- for the discovery --------------------------------------------------------------------------------------

    def found(self, sources: Iterable[Source]) -> None:
        """Follow these, and none of those found before that are not among them."""
        sources = tuple(sources)
        with self._applying:
            todo = changes(self._followed, sources)
            for source in todo.remove:
                self._remove(source)
            for source in todo.add:
                self._add(source)
            if not self._closed.is_set():
                self._wanted = len(set(sources))
                self._last_success_at = time.time()
                self._complaints.reported()

    def failed(self, category: str, reason: str) -> None:
        """Go on with what was found before."""
        if not self._closed.is_set():
            self._complaints.add(category, reason)

    def after_fork_in_child(self) -> None:
        """The parent's thread is not here, and what the discovery has open is the parent's."""
        fork.abandon((self._discovery, self._thread))
        self._thread = None
        self._applying = threading.Lock()
        self._closed = threading.Event()
        self._closed.set()
        self._followed, self._wanted = {}, 0

    # --- inside -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        back_off = BackOff()
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._discovery.run(self)
            except Exception as exc:
                log.exception("%s: the discovery itself failed; it is run again", self._discovery.name)
                self.failed("crash", f"{type(exc).__name__}: {exc}")
                self._closed.wait(back_off.after(time.monotonic() - began))
            else:
                return

    def _remove(self, source: Source) -> None:
        if self._closed.is_set():
            return
        try:
            for part in source.parts():
                self._manager.remove_source(part.pod, part.rank)
        except ClientClosed:
            self._end()
            return
        del self._followed[source]

    def _add(self, source: Source) -> None:
        if self._closed.is_set():
            return
        try:
            self._manager.add_source(source)
        except ClientClosed:
            self._end()
        except Exception as exc:  # whatever is wrong with one source, the others are to be followed
            self.failed("add", f"source {source.pod!r} cannot be followed: {exc}")
        else:
            self._followed[source] = None

    def _end(self) -> None:
        """The manager has been closed: there is nobody left to find sources for."""
        self._closed.set()
        self._discovery.close()
