"""The threads that receive at a server's socket: one, until a request is for a worker, and a few from then on.

One has the socket at a time, takes what is there, and may then run the last request itself while another one waits: where the
kernel wakes that for the next message, the first has spared its call a change of threads. Who finds no other waiting hands
requests to workers, so somebody is always free to receive.

No message lies unread while all of them wait: whenever nobody has the socket, either libzmq has told that there is nothing and
will signal the descriptor for what comes next, which is armed; or somebody is on the way to look. For a receiver looks until
there is nothing, also after whatever it sent, and has the descriptor armed before it lets go; whoever else has sent, and has
taken in news by that, tells a receiver. What the descriptor tells disarms it, and is told to one, who then looks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from threading import get_ident

from kato_transport import fork
from kato_transport_zmq_improved.hold import Hold
from kato_transport_zmq_improved.news import news_of

RECEIVERS = 4
"""Each may be in a handler but one; a call costs the same whatever their number, until all but one are."""

log = logging.getLogger("kato_transport.improved")

Job = Callable[[], None]


class Receivers:
    """`look` takes what is there, may give a job for this thread to run, and has the socket all the time; `deliver` sends what
    others left meanwhile, and says whether somebody has to be told of news."""

    def __init__(
        self, descriptor: int, hold: Hold, tick_s: float, look: Callable[[], Job | None], deliver: Callable[[], bool]
    ) -> None:
        self._news = news_of(descriptor)
        self._hold = hold
        self._tick_s = tick_s
        self._look = look
        self._deliver = deliver
        self.over = False
        self._wanted = RECEIVERS if self._news.shared else 1
        self._waiting: set[int] = set()
        self._running: set[int] = set()
        self._threads: list[threading.Thread] = []
        fork.watch(self)

    def start(self) -> None:
        self._start(told=True)

    def others_wait(self) -> bool:
        """Whether another receiver would take the next message; asked by one that has the socket."""
        return bool(self._waiting)

    def disarm(self) -> None:
        """Have messages wake nobody else; for one that has the socket, and waits for them by itself."""
        self._news.disarm()

    def will_look(self) -> bool:
        """Whether this thread is a receiver that runs a job: it looks afterwards."""
        return get_ident() in self._running

    def tell(self) -> None:
        """Have a receiver look: somebody else has taken in news, and has let go of the socket."""
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

    def _receive(self, told: bool) -> None:
        """Who has been `told` by the descriptor must have the socket. Otherwise a try is enough: whoever has the socket took it
        after the news was taken in, and looks."""
        while not self.over:
            job = self._use() if self._hold.take(blocking=told) else None
            if job is None:
                told = self._wait()
            else:
                self._run(job)
                job = None  # who waits keeps no request alive
                told = False

    def _run(self, job: Job) -> None:
        try:
            job()
        finally:
            self._running.discard(get_ident())

    def _use(self) -> Job | None:
        job = None
        try:
            job = self._look()
            if job is not None:
                self._running.add(get_ident())
            self._start_others()
        except Exception:
            log.exception("a receiver was interrupted; it goes on")
            self._news.tell()  # something may lie there
        finally:
            if self._hold.is_mine():  # as it is, but in the midst of a close
                self._news.arm()
                self._hold.let_go()
        if self._deliver():
            self._news.tell()
        return job

    def _wait(self) -> bool:
        """Until there is a reason to look; whether the descriptor told of it."""
        self._waiting.add(get_ident())
        told = not self.over and self._news.wait(self._tick_s)  # a forked child shares the parent's epoll
        self._waiting.discard(get_ident())
        return told

    def _start_others(self) -> None:
        while len(self._threads) < self._wanted and not self.over:
            try:
                self._start(told=False)
            except RuntimeError as exc:  # the system has no thread left: workers run all there is
                self._threads.pop()
                log.warning("%d receivers in place of %d: %s", len(self._threads), self._wanted, exc)
                self._wanted = len(self._threads)

    def _start(self, told: bool) -> None:
        thread = threading.Thread(target=self._receive, args=(told,), name="kato-improved-server", daemon=True)
        self._threads.append(thread)
        thread.start()
