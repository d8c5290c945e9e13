"""The threads that receive at a server's socket: one, until a request is for a worker, and several from then on.

One has the socket at a time, takes what is there, and may then run the last request itself while another one waits: where the
kernel wakes that for the next message, the first has spared its call a change of threads. Whoever finds no other waiting
hands requests to workers, so somebody is always free to receive.

No message lies unread while all of them wait: whenever nobody has the socket, either libzmq has told that there is nothing and
will signal the descriptor for what comes next, which is armed; or somebody is on the way to look. For a receiver looks until
there is nothing, also after whatever it sent, and arms the descriptor before it lets go; whoever else has sent, and has taken
in news by that, tells a receiver. What the descriptor told is for the one who was woken, which then looks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from threading import get_ident

from kato_transport import fork
from kato_transport_zmq_improved.hold import Hold
from kato_transport_zmq_improved.news import news_of

RECEIVERS = 2

log = logging.getLogger("kato_transport.improved")

Job = Callable[[], None]


class Receivers:
    """`alone` is what the only receiver does until there have to be more; `look` takes what is there, and may give a job for
    this thread to run; both have the socket. `deliver` sends what others left meanwhile, and says whether it took in news."""

    def __init__(
        self,
        descriptor: int,
        hold: Hold,
        tick_s: float,
        alone: Callable[[], None],
        look: Callable[[], Job | None],
        deliver: Callable[[], bool],
    ) -> None:
        self._news = news_of(descriptor)
        self._hold = hold
        self._tick_s = tick_s
        self._alone = alone
        self._look = look
        self._deliver = deliver
        self.over = False
        self._waiting: set[int] = set()
        self._running: set[int] = set()
        self._unread = False  # news that a thread has taken in which looks next
        self._threads: list[threading.Thread] = []
        fork.watch(self)

    def start(self) -> None:
        self._start(self._first)

    def others_wait(self) -> bool:
        """Whether another receiver would take the next message; asked by one that has the socket."""
        return bool(self._waiting)

    def tell(self) -> None:
        """Whoever has sent, and has let go of the socket, has taken in news."""
        if get_ident() in self._running:
            self._unread = True
        else:
            self._news.tell()

    def end(self) -> None:
        """Have them all end, but for who waits in `recv`."""
        self.over = True
        self._news.tell_all()

    def join(self, ended: bool) -> None:
        """Once nobody can have the socket any more: wait for them, or but for those in a handler where not all have `ended`;
        these end after it, and touch nothing."""
        stuck = set() if ended else set(self._running)
        for thread in self._threads:
            if thread is not threading.current_thread() and thread.ident not in stuck:
                thread.join()
        self._news.close()

    def after_fork_in_child(self) -> None:
        """What would be told there was meant for the parent's threads."""
        self.over = True

    def _first(self) -> None:
        if not self._hold.take():
            return
        try:
            self._alone()
            self._unread = True  # perhaps
            for _ in range(1, RECEIVERS if self._news.shared and not self.over else 1):
                self._start(self._receive)
        except RuntimeError as exc:  # the system has no thread left: workers run all there is
            log.warning("one receiver less: %s", exc)
        finally:
            self._give_back()
        self._receive()

    def _receive(self) -> None:
        while not self.over:
            self._wait()
            if not self._hold.take():
                return
            job = None
            try:
                self._unread = False
                job = self._look()
                if job is not None:
                    self._running.add(get_ident())
            finally:
                self._give_back()
            if job is not None:
                job()
                job = None  # who waits keeps no request alive
                self._running.discard(get_ident())

    def _wait(self) -> None:
        if self._unread:
            return
        self._waiting.add(get_ident())
        self._news.wait(self._tick_s)
        self._waiting.discard(get_ident())

    def _give_back(self) -> None:
        """Let go of the socket, and of what was left by those that found it taken."""
        if self._hold.is_mine():  # as it is, but in the midst of a close
            self._news.arm()
            self._hold.let_go()
        if self._deliver():
            self._news.tell()

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name="kato-improved-server", daemon=True)
        thread.start()
        self._threads.append(thread)
