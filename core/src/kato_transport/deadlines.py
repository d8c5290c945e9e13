"""Callbacks at points in time, from one thread: for futures that nothing else would end."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from kato_transport import fork

COMPACT_AT = 64
"""Cancelled entries that may lie about before they are swept; beyond, half of all may be."""


class Deadlines:
    """Calls each callback once its time has come; the thread starts with the first and ends with `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._closed = False
        self._heap: list[tuple[float, int]] = []
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, at: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called at `at` (monotonic seconds), or soon after; gives what cancels that."""
        key = next(self._order)
        if self._thread is None:
            fork.watch(self)  # before the lock is taken: a fork meanwhile must find it
        with self._changed:
            if self._closed:
                return lambda: None
            self._callbacks[key] = callback
            heapq.heappush(self._heap, (at, key))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            elif self._heap[0][1] == key:
                self._changed.notify()
        return lambda: self._cancel(key)

    def close(self) -> None:
        """Call nothing any more; idempotent."""
        with self._changed:
            self._closed = True
            self._heap.clear()
            self._callbacks.clear()
            self._changed.notify()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def after_fork_in_child(self) -> None:
        """The thread is the parent's, and so is whoever waits."""
        self._heap = []
        self._callbacks = {}
        self._changed = threading.Condition()
        self._thread = None

    def _cancel(self, key: int) -> None:
        with self._changed:
            self._callbacks.pop(key, None)
            if len(self._heap) > COMPACT_AT + 2 * len(self._callbacks):
                self._heap = [entry for entry in self._heap if entry[1] in self._callbacks]
                heapq.heapify(self._heap)

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
                callback = self._callbacks.pop(heapq.heappop(self._heap)[1], None)
                if callback is not None:
                    due.append(callback)
            return due
