"""Worker threads with lanes: jobs of one lane run one after the other, in order; lanes run beside each other.

No client has more than its share of them: clients take turns (see `protocol.turns`), and what one sends too fast is refused.

Whoever brings a job may lend its own thread to it, which spares a change of threads where nothing else waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Final

from kato_transport.protocol.turns import Task, Turns

AGAIN: Final = object()

Job = Callable[[], object]
"""A job of no lane that gives `AGAIN` is run again when its client has its next turn."""

log = logging.getLogger("kato_transport.workers")


class Workers:
    """Up to `threads` jobs at a time, on threads that are started as they are needed; at most `queue_limit` jobs wait, and at
    most `client_limit` of one client wait or run.

    The empty lane is no lane: its jobs run beside each other. The empty client is nobody in particular: it takes its turns as
    one client, and has no limit of its own.
    """

    def __init__(self, threads: int, queue_limit: int, client_limit: int, name: str) -> None:
        self._limit = queue_limit
        self._client_limit = client_limit
        self._max_threads = threads
        self._name = name
        self._turns: Turns[Job] = Turns()
        self._of_client: dict[bytes, int] = {}
        self._threads: list[threading.Thread] = []
        self._state = threading.Condition()
        self._wake: SimpleQueue[None] = SimpleQueue()  # idle threads wait here: it wakes them faster than a condition does
        self._idle = 0
        self._waiting = 0
        self._running = 0
        self._closed = False
        self._stopped = False

    def submit(self, lane: str, job: Job, client: bytes = b"") -> bool:
        """Queue a job; False, and nothing queued, where the queue or the client's share of it is full, or closed, or where the
        system has no thread for it."""
        with self._state:
            if self._closed or self._waiting >= self._limit:
                return False
            is_first = not self._threads
            if is_first and not self._started():
                return False
            if not self._counted(client):
                return False
            self._waiting += 1
            if self._turns.add(client, lane, job) and not is_first:
                self._engage_thread()
        return True

    def lend(self, lane: str, job: Job, client: bytes = b"") -> Callable[[], None] | None:
        """The job, for the caller's thread to run it at once, and for nobody else, where a thread here would run it at once;
        None, and nothing taken, where it had to wait for something. A single thread is lent nothing: handlers that want just
        one may keep what belongs to it."""
        with self._state:
            if self._closed or self._waiting or self._running >= self._max_threads or self._max_threads == 1:
                return None
            if not (self._turns.is_free(lane) and self._counted(client)):
                return None
            self._running += 1
            self._turns.add(client, lane, job)
            task = self._turns.start()
        assert task is not None  # nothing else waits
        return partial(self._run_lent, task)

    def close(self, drain_s: float = 0.0, drop: Callable[[Job], None] = lambda job: None) -> bool:
        """Take nothing more, give what was taken `drain_s` to end, and let the threads go.

        Does nothing when called again. Jobs still waiting then are given to `drop`; False where one is still running, which
        Python cannot stop: its thread is a daemon.
        """
        with self._state:
            self._closed = True
            self._state.wait_for(lambda: self._waiting + self._running == 0, drain_s)
            self._stopped = True
            ended = self._running == 0
            dropped = self._turns.rest()
        for job in dropped:
            drop(job)
        for _ in self._threads:
            self._wake.put(None)
        if ended and threading.current_thread() not in self._threads:
            for thread in self._threads:
                thread.join()
        return ended

    def _counted(self, client: bytes) -> bool:
        """Count one more job of the client; False where it has its share."""
        if client:
            of_client = self._of_client.get(client, 0)
            if of_client >= self._client_limit:
                return False
            self._of_client[client] = of_client + 1
        return True

    def _engage_thread(self) -> None:
        if self._running >= self._max_threads:
            return  # whose job ends first sees to the next
        if self._idle:
            self._idle -= 1
            self._wake.put(None)
        elif len(self._threads) < self._max_threads:
            self._started()

    def _started(self) -> bool:
        """Whether another thread could be started; where the system has none left, those that are there do the work."""
        thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError as exc:
            log.warning("%s: %s", thread.name, exc)
            return False
        self._threads.append(thread)
        return True

    def _work(self) -> None:
        while not self._stopped:
            with self._state:
                task = self._take()
            while task is not None:
                client, lane, job = task
                again = self._run(job)
                del task, job  # an idle thread keeps no request alive
                with self._state:
                    self._finish(client, lane, again)
                    task = self._take()
                del again
            self._wake.get()

    def _run(self, job: Job) -> Job | None:
        """Run a job; gives it back where it is to be run again."""
        try:
            return job if job() is AGAIN else None
        except BaseException:  # a handler's sys.exit ends neither its thread nor its lane
            log.exception("a job of %s failed", self._name)
            return None

    def _run_lent(self, task: Task[Job]) -> None:
        """On a thread that was lent: what can be started then is for another."""
        client, lane, job = task
        again = self._run(job)
        with self._state:
            self._finish(client, lane, again)
            if self._turns.can_start() and not self._stopped:
                self._engage_thread()

    def _take(self) -> Task[Job] | None:
        """The next job; None where this thread is to wait for one."""
        task = None if self._stopped or self._running >= self._max_threads else self._turns.start()
        if task is None:
            self._idle += 1
        else:
            self._waiting -= 1
            self._running += 1
        return task

    def _finish(self, client: bytes, lane: str, again: Job | None) -> None:
        self._running -= 1
        if again is not None:
            self._waiting += 1
            self._turns.add(client, lane, again)  # what comes first now is taken next
            return
        if client and (left := self._of_client.pop(client) - 1):
            self._of_client[client] = left
        self._turns.ended(lane)
        if self._closed:
            self._state.notify_all()
