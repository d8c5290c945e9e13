"""Who has a socket that several threads use, one at a time."""

from __future__ import annotations

import threading
from threading import get_ident

from kato_transport import fork


class Hold:
    """`take` and `let_go`, until it is `retired`; a forked child never gets it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder = 0
        self._retired = False
        fork.watch(self)

    def take(self, blocking: bool = True) -> bool:
        """Whether this thread has the socket now."""
        if not self._lock.acquire(blocking):
            return False
        if self._retired:
            self._lock.release()
            return False
        self._holder = get_ident()
        return True

    def let_go(self) -> None:
        self._holder = 0
        self._lock.release()

    def is_mine(self) -> bool:
        """Whether it is this thread that has the socket."""
        return self._holder == get_ident()

    def retire(self) -> None:
        """Let go of it, and let nobody have it again."""
        self._retired = True
        self.let_go()

    def after_fork_in_child(self) -> None:
        """Whoever had it is not there any more."""
        self._lock = threading.Lock()
        self._holder = 0
        self._retired = True
