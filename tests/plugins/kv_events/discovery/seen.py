"""What a manager follows, to be waited for; and what a discovery tells, without a manager."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from contextlib import contextmanager

from kato_transport.testing.waiting import LONG_S, until
from kato_transport_kv_events.discovery import Discovery, Report
from kato_transport_kv_events.subscription import KVEventManager, Source


def followed(manager: KVEventManager) -> dict[tuple[str, int], str]:
    """Endpoints by pod and rank."""
    return {(stats.pod, stats.rank): stats.endpoint for stats in manager.stats()}


def comes_to_follow(manager: KVEventManager, **endpoints: str) -> None:
    """Wait until the manager follows exactly these, by pod, at rank 0."""
    wanted = {(pod, 0): endpoint for pod, endpoint in endpoints.items()}
    try:
        until(lambda: followed(manager) == wanted, f"the manager did not come to follow {wanted}")
    except BaseException as exc:
        exc.add_note(f"it follows {followed(manager)}")
        raise


class Told:
    """A `Report` that keeps what it is told, in order: lists of sources, and (category, reason)."""

    def __init__(self) -> None:
        self._told: queue.Queue[list[Source] | tuple[str, str]] = queue.Queue()

    def found(self, sources: Iterable[Source]) -> None:
        self._told.put(list(sources))

    def failed(self, category: str, reason: str) -> None:
        self._told.put((category, reason))

    def next(self) -> list[Source] | tuple[str, str]:
        return self._told.get(timeout=LONG_S)

    def until(self, wanted: object) -> None:
        """Skip what is told until it is this."""
        while (told := self.next()) != wanted:
            del told


@contextmanager
def running(discovery: Discovery):
    """What a discovery tells while it runs on a thread of its own; it ends when it is closed."""
    told = Told()
    thread = threading.Thread(target=discovery.run, args=(told,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        discovery.close()
        thread.join(LONG_S)
    assert not thread.is_alive()


class ByHand:
    """A discovery that finds what a test tells it to; `raises` is raised by `run` instead, once."""

    name = "by-hand"

    def __init__(self) -> None:
        self.reports: queue.Queue[Report] = queue.Queue()
        self.raises: Exception | None = None
        self.closed = threading.Event()

    def run(self, report: Report) -> None:
        raises, self.raises = self.raises, None
        if raises is not None:
            raise raises
        self.reports.put(report)
        self.closed.wait()

    def report(self) -> Report:
        return self.reports.get(timeout=LONG_S)

    def close(self) -> None:
        self.closed.set()
