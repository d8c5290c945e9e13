"""Kept client sockets: as many as calls are made at once, reused by whichever thread calls next.

So a thread that ends leaves nothing behind, and a socket is opened only where none is free. Handing a socket from thread
to thread is allowed as long as no two use it at once and a memory barrier lies between, which the lock here is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kato_transport import fork
from kato_transport.errors import ClientClosed, ConnectFailed
from kato_transport.model import Request
from kato_transport.zeromq.channel import Channel


class ChannelPool:
    """At most `limit` channels; a call beyond waits for one, within its own time."""

    def __init__(self, open_channel: Callable[[], Channel], limit: int, endpoint: str) -> None:
        self._open_channel = open_channel
        self._limit = limit
        self._endpoint = endpoint
        self._closed = False
        self._changed = threading.Condition()
        self._idle = [open_channel()]  # a malformed endpoint is told now, not at the first call
        self._open = 1
        fork.watch(self)

    @property
    def size(self) -> int:
        """Channels open, in use or kept."""
        return self._open

    @contextmanager
    def channel(self, request: Request, deadline: float) -> Iterator[Channel]:
        """A channel for one call. One that an error leaves is closed: a late answer on it would meet the next call."""
        channel = self._take(request, deadline)
        try:
            yield channel
        except BaseException:
            self._discard(channel)
            raise
        self._give_back(channel)

    def drop_idle(self) -> None:
        """Close what is kept, as the peer behind it is gone; calls under way end by themselves."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._open -= len(idle)
        for channel in idle:
            channel.close()

    def close(self) -> None:
        """Close what is kept now and what is in use as it comes back; idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.drop_idle()

    def after_fork_in_child(self) -> None:
        for channel in self._idle:
            channel.abandon()
        self._changed = threading.Condition()
        self._idle = []
        self._open = 0

    def _take(self, request: Request, deadline: float) -> Channel:
        with self._changed:
            while not self._closed:
                if self._idle:
                    return self._idle.pop()
                if self._open < self._limit:
                    self._open += 1
                    break
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise ConnectFailed(f"{request.method}: all {self._limit} connections were in use; nothing was sent")
            else:
                raise ClientClosed(f"the client of {self._endpoint} is closed")
        try:
            return self._open_channel()
        except BaseException:
            self._forget_one()
            raise

    def _give_back(self, channel: Channel) -> None:
        with self._changed:
            if not self._closed:
                self._idle.append(channel)
                self._changed.notify()
                return
        self._discard(channel)

    def _discard(self, channel: Channel) -> None:
        channel.close()
        self._forget_one()

    def _forget_one(self) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify()
