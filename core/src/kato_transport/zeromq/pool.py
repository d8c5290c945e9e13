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
from kato_transport.errors import ClientClosed, ConnectFailed, TransportError
from kato_transport.model import Request
from kato_transport.zeromq.channel import Channel

CLOSE_S = 1.0
"""How long `close` waits for calls under way to notice; they do within a tick, unless the machine is stalled."""


class ChannelPool:
    """At most `limit` channels; a call beyond waits for one, within its own time."""

    def __init__(self, open_channel: Callable[[], Channel], limit: int, endpoint: str) -> None:
        self._open_channel = open_channel
        self._limit = limit
        self._endpoint = endpoint
        self._closed = False
        self._changed = threading.Condition()
        self._idle = [open_channel()]  # a malformed endpoint is told now, not at the first call
        self._open = set(self._idle)
        fork.watch(self)

    @property
    def size(self) -> int:
        """Channels open, in use or kept."""
        return len(self._open)

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
        """Close what is kept: something may still come on it that is not for the next call."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._open.difference_update(idle)
        for channel in idle:
            channel.close()

    def drop(self, error: Callable[[Request], TransportError]) -> None:
        """Close what is kept, and end the calls under way with an error: the peer behind them is gone."""
        self.drop_idle()
        with self._changed:
            for channel in self._open:
                channel.give_up(error)

    def close(self) -> None:
        """Close every channel; calls under way end with `ClientClosed`, and are waited for. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.drop(self._closed_error)
        with self._changed:
            self._changed.wait_for(lambda: not self._open, CLOSE_S)

    def after_fork_in_child(self) -> None:
        for channel in self._open:
            channel.abandon()
        self._changed = threading.Condition()
        self._idle = []
        self._open = set()

    def _take(self, request: Request, deadline: float) -> Channel:
        with self._changed:
            while not self._closed:
                if self._idle:
                    return self._idle.pop()
                if len(self._open) < self._limit:
                    channel = self._open_channel()
                    self._open.add(channel)
                    return channel
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise ConnectFailed(f"{request.method}: all {self._limit} connections were in use; nothing was sent")
        raise self._closed_error(request)

    def _give_back(self, channel: Channel) -> None:
        with self._changed:
            if not self._closed and channel.usable:
                self._idle.append(channel)
                self._changed.notify()
                return
        self._discard(channel)

    def _discard(self, channel: Channel) -> None:
        channel.close()
        with self._changed:
            self._open.discard(channel)
            self._changed.notify_all()

    def _closed_error(self, request: Request) -> ClientClosed:
        return ClientClosed(f"{request.method}: the client of {self._endpoint} is closed")
