"""An event that signals set, and that its waiter never misses.

A `threading.Event` can be: a signal that comes just before its lock is slept on is only noticed when that sleep ends, as is one
that the system gives to another thread; and one that comes while `wait` has the event's own lock finds it taken for ever.
So there is no lock here, and the interpreter itself writes into a pipe what comes (`signal.set_wakeup_fd`).
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import suppress

from kato_transport import fork


class Stop(threading.Event):
    """As a `threading.Event` that nobody clears. To be made on the main thread, by which signals are handled."""

    def __init__(self) -> None:
        super().__init__()
        self._is_set = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        fork.watch(self)

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """From any thread, and from a signal's handler."""
        self._is_set = True
        with suppress(BlockingIOError):  # there is enough to wake everybody
            os.write(self._write, b"\0")

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it is set, after so many seconds at most."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._is_set:
            left_s = None if until is None else max(0.0, until - time.monotonic())
            if not select.select([self._read], [], [], left_s)[0]:
                break
            if not self._is_set:
                os.read(self._read, 1)  # a signal's, whose handler runs next and writes another if it sets this
        return self._is_set

    def after_fork_in_child(self) -> None:
        """The child's signals are not the parent's."""
        signal.set_wakeup_fd(-1)
