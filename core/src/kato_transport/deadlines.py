"""Callbacks at points in time, from one thread: for futures that nothing else would end."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Deadlines:
    """Calls each callback once its time has come; the thread starts with the first and ends with `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def add(self, at: float, callback: Callable[[], None]) -> None:
        """Have `callback` called at `at` (monotonic seconds), or soon after."""
        with self._changed:
            heapq.heappush(self._heap, (at, next(self._order), callback))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Call nothing any more; idempotent."""
        with self._changed:
            self._closed = True
            self._heap.clear()
            self._changed.notify()
        if self._thread not in (None, threading.current_thread()):
            self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            for callback in self._wait_for_due():
                callback()

    def _wait_for_due(self) -> list[Callable[[], None]]:
        with self._changed:
            if not self._closed:
                self._changed.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
            due = []
            while self._heap and self._heap[0][0] <= time.monotonic():
                due.append(heapq.heappop(self._heap)[2])
            return due
