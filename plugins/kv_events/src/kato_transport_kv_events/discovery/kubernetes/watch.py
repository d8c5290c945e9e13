"""Lists pods, then watches them: from the last known change while the API remembers it, or else by listing them anew."""

from __future__ import annotations

import threading
import time
from typing import Final

from kato_transport_kv_events.discovery.back_off import BackOff
from kato_transport_kv_events.discovery.contract import Report
from kato_transport_kv_events.discovery.kubernetes.api import Api
from kato_transport_kv_events.discovery.kubernetes.errors import ApiError, Broken, Gone
from kato_transport_kv_events.discovery.kubernetes.objects import Pod, PodList, decoded
from kato_transport_kv_events.discovery.kubernetes.pods import Pods

LIST_S: Final = 30.0
"""Silence after which an answer to a list counts as lost."""
WATCH_S: Final = 240
"""How long a watch is asked for; a new one begins where it ended."""
PAGE: Final = 500


class PodWatch:
    """A discovery."""

    def __init__(self, name: str, api: Api, path: str, selector: str, pods: Pods) -> None:
        self.name = name
        self._api = api
        self._path = path
        self._query = {"labelSelector": selector}
        self._pods = pods
        self._closed = threading.Event()

    def run(self, report: Report) -> None:
        back_off = BackOff()
        while not self._closed.is_set():
            began = time.monotonic()
            try:
                self._follow(report)
            except ApiError as exc:
                if not isinstance(exc, Broken):
                    self._pods.version = ""
                if not isinstance(exc, Gone) and not self._closed.is_set():
                    report.failed("lookup", str(exc))
            self._closed.wait(back_off.after(time.monotonic() - began))

    def close(self) -> None:
        self._closed.set()
        self._api.close()

    def _follow(self, report: Report) -> None:
        """Until the watch ends, one way or another."""
        if not self._pods.version:
            self._list()
            report.found(self._pods.sources())
        query = {
            **self._query,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._pods.version,
            "timeoutSeconds": str(WATCH_S),
        }
        with self._api.get(self._path, query, WATCH_S + LIST_S) as answer:
            report.found(self._pods.sources())
            for line in answer.lines():
                if self._pods.changed(line):
                    report.found(self._pods.sources())

    def _list(self) -> None:
        found: list[Pod] = []
        query = {**self._query, "limit": str(PAGE)}
        while True:
            with self._api.get(self._path, query, LIST_S) as answer:
                page = decoded(answer.whole(), PodList)
            found += page.items or ()
            if not page.metadata.continues:
                break
            query["continue"] = page.metadata.continues
        self._pods.listed(found, page.metadata.resource_version)
