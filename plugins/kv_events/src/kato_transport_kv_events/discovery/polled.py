"""A discovery that looks again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from kato_transport import InvalidSetting, TransportError
from kato_transport_kv_events.discovery.contract import Report
from kato_transport_kv_events.subscription.source import Source


class Polled:
    """Calls `look` at an interval. It gives all sources there are, or raises:

    `InvalidSetting` where what it finds is no list of sources, `OSError` or another `TransportError` where it cannot look.
    """

    def __init__(self, name: str, interval_s: float, look: Callable[[], Iterable[Source]]) -> None:
        self.name = name
        self._interval_s = interval_s
        self._look = look
        self._closed = threading.Event()

    def run(self, report: Report) -> None:
        while not self._closed.is_set():
            self._tell(report)
            self._closed.wait(self._interval_s)

    def close(self) -> None:
        self._closed.set()

    def _tell(self, report: Report) -> None:
        try:
            sources = self._look()
        except InvalidSetting as exc:
            report.failed("source", str(exc))
        except (OSError, TransportError) as exc:
            report.failed("lookup", str(exc))
        else:
            report.found(sources)
