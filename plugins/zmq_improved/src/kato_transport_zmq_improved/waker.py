"""A pipe by which threads wake one that waits on a socket."""

from __future__ import annotations

import os
import threading


class Waker:
    """`wake` from any thread makes `descriptor` readable until `clear`; after `close` it does nothing.

    A handler may outlive its server: the lock keeps it from writing to a descriptor that is somebody else's by then.
    """

    def __init__(self) -> None:
        self.descriptor, self._write = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._write, False)
        self._lock = threading.Lock()
        self._woken = False
        self._for_good = False
        self._closed = False

    def wake(self) -> None:
        with self._lock:
            if not self._woken and not self._closed:
                self._woken = True
                os.write(self._write, b"\0")

    def clear(self) -> None:
        """To be called before looking for what one was woken for, so that nothing is missed."""
        if not self._woken:
            return
        with self._lock:
            if self._woken and not self._for_good:
                self._woken = False
                os.read(self.descriptor, 1)

    def wake_for_good(self) -> None:
        """From now on nothing clears it."""
        with self._lock:
            self._for_good = True
        self.wake()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            os.close(self.descriptor)
            os.close(self._write)
