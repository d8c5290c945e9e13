"""`IndexService`: sources followed, what they hold kept in an index, and queries about it answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import kato_transport as kt
from kato_transport.codecs.json import JsonCodec
from kato_transport.service import as_service
from kato_transport.settings import Settings
from kato_transport_kv_events.discovery import Discovery, Roster
from kato_transport_kv_events.index import BlockIndex
from kato_transport_kv_events.metrics import KVMetrics
from kato_transport_kv_events.service.http import QueryServer
from kato_transport_kv_events.service.queries import Queries
from kato_transport_kv_events.stream import Checkpoint, StreamSettings
from kato_transport_kv_events.subscription import KVEventManager, Limits, Source
from kato_transport_kv_events.subscription.handlers import Handler


class IndexService:
    """Answers where it is told to; ends with `close` or its `with` block.

    `handlers` are told what the index is told. What raises while something is added or served leaves the rest as it was.
    """

    def __init__(
        self,
        index: BlockIndex | None = None,
        *,
        handlers: Iterable[Handler] = (),
        settings: StreamSettings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.index = BlockIndex() if index is None else index
        self.manager = KVEventManager([self.index, *handlers], settings=settings, limits=limits)
        self.queries = Queries(self.index, self.manager)
        self._rosters: list[Roster] = []
        self._open = ExitStack()
        self._open.enter_context(self.manager)

    def follow(self, source: Source, checkpoints: Mapping[int, Checkpoint] | None = None) -> None:
        """As `KVEventManager.add_source`."""
        self.manager.add_source(source, checkpoints)

    def discover(self, discovery: Discovery) -> None:
        """Follow whatever it finds, from now on."""
        self._rosters.append(self._open.enter_context(Roster(self.manager, discovery)))

    def serve_requests(self, endpoint: str, transport: str | None = None) -> str:
        """Answer queries over a request transport; gives the endpoint as bound. Raises what `kato_transport.serve` raises."""
        return self._open.enter_context(kt.serve(self.queries.methods(), endpoint, transport=transport)).endpoint

    def serve_http(self, endpoint: str) -> str:
        """Answer queries over HTTP; gives the endpoint as bound. `BindFailed` where it cannot be had."""
        settings = Settings.from_env()
        service = as_service(self.queries.methods())
        metrics = KVMetrics(self.manager, self.index, self._rosters)
        server = QueryServer(endpoint, service, metrics, settings.server_options(JsonCodec()), settings.timeout_s)
        self._open.callback(server.close)
        return server.endpoint

    def close(self) -> None:
        """Refuse what is new, answer what was asked, follow nobody any more, let go of everything; idempotent."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
