"""`IndexService`: sources followed, what they hold kept in an index, and queries about it answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import kato_transport as kt
from kato_transport.codecs.json import JsonCodec
from kato_transport.service import as_service
from kato_transport.settings import Settings
from kato_transport_kv_events.discovery import Discovery, Roster
from kato_transport_kv_events.index import BlockIndex
from kato_transport_kv_events.keeping import Keeping, Snapshots, restored
from kato_transport_kv_events.metrics import KVMetrics
from kato_transport_kv_events.service.http import QueryServer
from kato_transport_kv_events.service.queries import Queries
from kato_transport_kv_events.stream import StreamSettings
from kato_transport_kv_events.subscription import KVEventManager, Limits, Source
from kato_transport_kv_events.subscription.handlers import Handler

CLAIM_S: Final = 60.0
"""Time for what a snapshot has to be followed again."""


class IndexService:
    """Answers where it is told to; ends with `close` or its `with` block.

    `handlers` are told what the index is told. The index begins with what the file `snapshot` holds, if it can be read; it is
    saved there once `keep` was called, so that what cannot start overwrites nothing. What raises while something is added or
    served leaves the rest as it was.
    """

    def __init__(
        self,
        index: BlockIndex | None = None,
        *,
        handlers: Iterable[Handler] = (),
        settings: StreamSettings | None = None,
        limits: Limits | None = None,
        snapshot: Path | None = None,
    ) -> None:
        self.index = BlockIndex() if index is None else index
        before = None if snapshot is None else restored(snapshot, self.index)
        checkpoints = None if before is None else before.checkpoints
        self.manager = KVEventManager([self.index, *handlers], settings=settings, limits=limits, checkpoints=checkpoints)
        self.snapshots = Snapshots(self.index, self.manager, snapshot)
        self.queries = Queries(self.index, self.manager, self.snapshots)
        self._rosters: list[Roster] = []
        self._open = ExitStack()
        self._open.enter_context(self.manager)
        self._keeping = self._open.enter_context(ExitStack())  # here, so that the last save is after the last answer
        if before is not None:
            self._open.callback(_after(CLAIM_S, self.abandon_unclaimed))

    def follow(self, source: Source) -> None:
        """As `KVEventManager.add_source`."""
        self.manager.add_source(source)

    def discover(self, discovery: Discovery) -> None:
        """Follow whatever it finds, from now on."""
        self._rosters.append(self._open.enter_context(Roster(self.manager, discovery)))

    def abandon_unclaimed(self) -> None:
        """Forget what a snapshot has of sources that nobody follows; happens by itself after a minute."""

        def forget(checkpoints: Mapping[Any, Any]) -> None:
            for pod, rank in self.manager.abandon_checkpoints():
                self.index.source_removed(pod, rank)

        self.manager.at_rest(forget)

    def serve_requests(self, endpoint: str, transport: str | None = None) -> str:
        """Answer queries over a request transport; gives the endpoint as bound. Raises what `kato_transport.serve` raises."""
        return self._open.enter_context(kt.serve(self.queries.methods(), endpoint, transport=transport)).endpoint

    def serve_http(self, endpoint: str) -> str:
        """Answer queries over HTTP; gives the endpoint as bound. `BindFailed` where it cannot be had."""
        settings = Settings.from_env()
        service = as_service(self.queries.methods())
        metrics = KVMetrics(self.manager, self.index, self._rosters, self.snapshots)
        server = QueryServer(endpoint, service, metrics, settings.server_options(JsonCodec()), settings.timeout_s)
        self._open.callback(server.close)
        return server.endpoint

    def keep(self, interval_s: float = 60.0) -> None:
        """Save the index every so often (0: never) and at the end, in the file that it began with.

        To be called once all is served: from then on the file is this service's. Does nothing where there is no file;
        `InvalidSetting` where nobody could wait so long.
        """
        if not 0 <= interval_s <= threading.TIMEOUT_MAX:
            raise kt.InvalidSetting(f"interval_s {interval_s!r}; expected seconds from 0 on, 0 for only at the end")
        if self.snapshots.has_file:
            self._keeping.callback(Keeping(self.snapshots, interval_s).close)

    def close(self) -> None:
        """Refuse what is new, answer what was asked, follow nobody any more, let go of everything; idempotent."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _after(seconds: float, function: Callable[[], None]) -> Callable[[], None]:
    """Have a function called on a thread of its own; what is given back calls it off."""
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()

    def call_off() -> None:
        timer.cancel()
        timer.join()

    return call_off
