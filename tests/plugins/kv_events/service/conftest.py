"""An index, a manager that fills it, queries of both served, and a plain HTTP client."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.service import as_service
from kato_transport.settings import Settings
from kato_transport_kv_events.index import BlockIndex
from kato_transport_kv_events.keeping import Snapshots
from kato_transport_kv_events.metrics import KVMetrics
from kato_transport_kv_events.service.http import QueryServer
from kato_transport_kv_events.service.queries import Queries
from kato_transport_kv_events.subscription import KVEventManager, Source
from kato_transport_kv_events.testing import EventPublisher


class Answered(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Asking:
    """Where queries are served, and how to ask there."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def send(self, verb: str, path: str, body: bytes | None = None, **headers: str) -> Answered:
        connection = self.open()
        try:
            connection.request(verb, path, body, headers)
            answer = connection.getresponse()
            return Answered(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answered:
        return self.send("GET", path)

    def post(self, path: str, **fields: Any) -> Answered:
        return self.send("POST", path, json.dumps(fields).encode())

    def open(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.endpoint)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)


@pytest.fixture
def index() -> BlockIndex:
    return BlockIndex()


@pytest.fixture
def manager(closing: ExitStack, index: BlockIndex) -> KVEventManager:
    """Fills the index."""
    return closing.enter_context(KVEventManager([index]))


@pytest.fixture
def snapshots(index: BlockIndex, manager: KVEventManager, tmp_path: Path) -> Snapshots:
    return Snapshots(index, manager, tmp_path / "index")


@pytest.fixture
def queries(index: BlockIndex, manager: KVEventManager, snapshots: Snapshots) -> Queries:
    return Queries(index, manager, snapshots)


@pytest.fixture
def serving(closing: ExitStack, queries: Queries, manager: KVEventManager) -> Callable[..., Asking]:
    """Served over HTTP: `serving(**server options)`; with `methods`, something else than the queries."""

    def made(methods: Any = None, **options: Any) -> Asking:
        server_options = Settings.from_env().server_options(MsgpackCodec(), **options)
        service = as_service(methods or queries.methods())
        server = QueryServer("http://127.0.0.1:0", service, KVMetrics(manager), server_options, 5.0)
        closing.callback(server.close)
        return Asking(server.endpoint)

    return made


@pytest.fixture
def follow(engine: Callable[..., EventPublisher], manager: KVEventManager) -> Callable[..., EventPublisher]:
    """An engine that the manager follows: `follow(pod)`."""

    def made(pod: str = "a") -> EventPublisher:
        publisher = engine()
        manager.add_source(Source(pod=pod, endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint))
        return publisher

    return made
