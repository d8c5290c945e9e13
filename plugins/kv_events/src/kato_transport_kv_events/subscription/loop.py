"""One thread that waits for many sockets: it tells who has something to read, keeps times, and runs what others ask for.

ZeroMQ's file descriptors only tell that something changed, so whoever is told reads until nothing is left, or says that
there is more and is called again after the others (libzmq, `ZMQ_FD`).
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

import zmq

from kato_transport import ClientClosed
from kato_transport.zeromq import descriptor

Sock = zmq.Socket[bytes]
T = TypeVar("T")
Visit = Callable[[float], bool]
"""Reads what is there; whether there is more. Told the time."""

log = logging.getLogger("kato_transport.kv_events")


class Loop:
    """Runs on its own thread from its making until `stop`."""

    def __init__(self, name: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._woken_by, self._wakes = os.pipe()
        for end in (self._woken_by, self._wakes):
            os.set_blocking(end, False)
        self._selector.register(self._woken_by, selectors.EVENT_READ, self._clear)
        self._again: dict[Visit, None] = {}
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        self._timer_numbers = itertools.count()
        self._asked: deque[Callable[[], None]] = deque()
        self._asking = threading.Lock()
        self._stopping = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    # --- on any thread ------------------------------------------------------------------------------------------

    @property
    def is_current(self) -> bool:
        """Whether the caller is on this thread."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[[], T]) -> T:
        """What a function gives or raises on this thread; waits for it."""
        if self.is_current:
            return function()
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(function())
            except BaseException as exc:
                answer.set_exception(exc)

        self.soon(run)
        return answer.result()

    def soon(self, function: Callable[[], None]) -> None:
        """Have a function run on this thread; `ClientClosed` once it has ended."""
        with self._asking:
            if self._ended:
                raise ClientClosed("the subscription's thread has ended")
            self._asked.append(function)
            with suppress(BlockingIOError):  # a full pipe wakes just as well
                os.write(self._wakes, b"\0")

    def stop(self) -> None:
        """End the thread, after everything that was asked for; waits for it unless it is the caller's own."""

        def end() -> None:
            self._stopping = True

        self.soon(end)
        if not self.is_current:
            self._thread.join()

    # --- on this thread -----------------------------------------------------------------------------------------

    def watch(self, sock: Sock, visit: Visit) -> None:
        """Have a socket's owner called whenever there may be something to read; at once, too."""
        self._selector.register(descriptor(sock), selectors.EVENT_READ, visit)
        self._again[visit] = None

    def forget(self, sock: Sock, visit: Visit) -> None:
        """To be called before the socket is closed."""
        self._selector.unregister(descriptor(sock))
        self._again.pop(visit, None)

    def at(self, when: float, function: Callable[[float], None]) -> None:
        """Have a function called at a time; it cannot be called off."""
        heapq.heappush(self._timers, (when, next(self._timer_numbers), function))

    def _run(self) -> None:
        while not self._stopping:
            self._turn()
        with self._asking:
            self._ended = True
            self._selector.close()
            os.close(self._woken_by)
            os.close(self._wakes)
        for function in self._asked:
            function()

    def _turn(self) -> None:
        wait_s = 0.0 if self._again or self._asked else self._next_timer_s()
        visits, self._again = self._again, {}
        for key, _ in self._selector.select(wait_s):
            visits[key.data] = None
        now = time.monotonic()
        for visit in visits:
            if self._guarded(visit, now):
                self._again[visit] = None
        while self._timers and self._timers[0][0] <= now:
            self._guarded(heapq.heappop(self._timers)[2], now)
        for _ in range(len(self._asked)):
            self._asked.popleft()()

    def _next_timer_s(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic())

    def _guarded(self, function: Callable[[float], bool | None], now: float) -> bool:
        """One that fails takes nobody with it."""
        try:
            return bool(function(now))
        except Exception:
            log.exception("%r failed", function)
            return False

    def _clear(self, now: float) -> bool:
        with suppress(BlockingIOError):
            os.read(self._woken_by, 4096)
        return False
