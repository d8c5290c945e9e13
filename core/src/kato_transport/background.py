"""One event loop on a thread of its own, shared by all who need one beside their callers' threads.

It starts with the first user and ends with the last, so no thread is left after every client has been closed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from kato_transport import fork

R = TypeVar("R")


class BackgroundLoop:
    """The process's shared loop; `acquire` and `release` come in pairs."""

    def __init__(self) -> None:
        self._reset()

    def acquire(self) -> None:
        """Start the loop, unless it runs; `OSError` where no descriptors are left for one."""
        fork.watch(self)  # before the lock is taken: a fork meanwhile must find it
        with self._lock:
            if not self._users:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name="kato-background", daemon=True)
                self._thread.start()
            self._users += 1

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
            loop, thread = self._loop, self._thread
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join()

    def run(self, work: Coroutine[Any, Any, R]) -> Future[R]:
        """Run a coroutine on the loop, for somebody who has acquired it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a last coroutine and release; waits for it, unless called on the loop itself, as by a future's callback."""
        if threading.current_thread() is self._thread:
            task = self._loop.create_task(work)
            task.add_done_callback(lambda _: self.release())
            return
        self.run(work).result()
        self.release()

    def after_fork_in_child(self) -> None:
        fork.abandon(vars(self).copy())
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._users = 0


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


background = BackgroundLoop()
