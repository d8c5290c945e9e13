"""What the receivers of a socket wait for: its descriptor, and a pipe by which other threads tell them of something.

On Linux any number of threads wait, and the kernel wakes one of them: the one that came last, whose caches are warm. Nobody
else is told of the socket before that one has armed it again, so no thread is woken for what another is about to take.
"""

from __future__ import annotations

import select

from kato_transport_zmq_improved.waker import Waker

AT_ONCE = 2
"""Descriptors that a thread is told of."""


class News:
    """What is armed and has news already wakes at once: nothing that comes between is missed.

    `_armed` is true only where it is, or where somebody who was woken by it is about to look.
    """

    shared = True

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._epoll = select.epoll()
        self._waker = Waker()
        self._armed = False
        self._epoll.register(self._waker.descriptor, select.EPOLLIN | select.EPOLLET)
        self._epoll.register(descriptor, select.EPOLLONESHOT)

    def arm(self) -> None:
        """Have somebody woken by the socket's next news; for whoever has the socket, before letting go of it."""
        if not self._armed:
            self._armed = True  # before it is: who is woken may be faster
            self._epoll.modify(self._descriptor, select.EPOLLIN | select.EPOLLONESHOT)

    def disarm(self) -> None:
        """Have nobody woken by it; for whoever has the socket, and looks."""
        if self._armed:
            self._armed = False
            self._epoll.modify(self._descriptor, select.EPOLLONESHOT)

    def wait(self, at_most_s: float) -> bool:
        """Whether it was the socket that had news."""
        told = False
        for number, _ in self._epoll.poll(at_most_s, AT_ONCE):
            if number == self._descriptor:
                self._armed, told = False, True
        self._waker.clear()  # before the caller looks for what it was told of
        return told

    def tell(self) -> None:
        """Wake somebody, from any thread; who waits next, where nobody does."""
        self._waker.wake()

    def tell_all(self) -> None:
        """Wake everybody, and let nobody wait from now on."""
        self._epoll.modify(self._waker.descriptor, select.EPOLLIN)
        self._waker.wake_for_good()

    def close(self) -> None:
        """Once nobody waits any more; `tell` does nothing then."""
        self._waker.close()
        self._epoll.close()


class NewsForOne:
    """The same where there is no epoll: for a single thread."""

    shared = False

    def __init__(self, descriptor: int) -> None:
        self._waker = Waker()
        self._poll = select.poll()
        self._poll.register(self._waker.descriptor, select.POLLIN)
        self._poll.register(descriptor, select.POLLIN)

    def arm(self) -> None:
        """Nothing to do: who waits is woken, and nobody else."""

    disarm = arm

    def wait(self, at_most_s: float) -> bool:
        self._poll.poll(1000 * at_most_s)
        self._waker.clear()
        return True

    def tell(self) -> None:
        self._waker.wake()

    def tell_all(self) -> None:
        self._waker.wake_for_good()

    def close(self) -> None:
        self._waker.close()


def news_of(descriptor: int) -> News | NewsForOne:
    return News(descriptor) if hasattr(select, "epoll") else NewsForOne(descriptor)
