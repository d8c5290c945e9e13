"""Kept client sockets: as many as calls are made at once, reused by whichever thread calls next.

So a thread that ends leaves nothing behind, and a socket is opened only where none is free. Handing a socket from thread
to thread is allowed as long as no two use it at once and a memory barrier lies between; Python's own lock is one, which is
let go of and taken again between any two threads' steps. The lock here is for whoever opens, closes or waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from kato_transport import fork
from kato_transport.errors import ClientClosed, ConnectFailed, TransportError
from kato_transport.model import Request
from kato_transport.zeromq.channel import Channel

CLOSE_S = 1.0
"""How long `close` waits for calls under way to notice; they do within a tick, unless the machine is stalled."""


class Lease:
    """A channel as its pool keeps it; entered for one call."""

    def __init__(self, pool: ChannelPool, channel: Channel) -> None:
        self.channel = channel
        self._pool = pool

    def __enter__(self) -> Channel:
        return self.channel

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._pool.give_back(self)
        else:
            self._pool.discard(self)


class ChannelPool:
    """At most `limit` channels; a call beyond waits for one, within its own time."""

    def __init__(self, open_channel: Callable[[], Channel], limit: int, endpoint: str) -> None:
        self._open_channel = open_channel
        self._limit = limit
        self._endpoint = endpoint
        self._closed = False
        self._changed = threading.Condition()
        self._line: deque[object] = deque()
        """Calls that wait for a channel, the first of them in front."""
        first = Lease(self, open_channel())  # a malformed endpoint is told now, not at the first call
        self._idle = deque([first])
        self._open = {first}
        fork.watch(self)

    @property
    def size(self) -> int:
        """Channels open, in use or kept."""
        return len(self._open)

    def channel(self, request: Request, deadline: float) -> Lease:
        """A channel for one call. One that an error leaves is closed: a late answer on it would meet the next call."""
        lease = None if self._line else self._idle_one()  # who comes later is no faster
        return lease or self._waited_for(request, deadline)

    def give_back(self, lease: Lease) -> None:
        """Keep a channel for the next call."""
        if not lease.channel.usable:
            self.discard(lease)
            return
        self._idle.append(lease)
        if self._closed:  # `close` may have looked before
            self.drop_idle()
        elif self._line:
            with self._changed:
                self._changed.notify_all()

    def discard(self, lease: Lease) -> None:
        """Close a channel."""
        lease.channel.close()
        with self._changed:
            self._open.discard(lease)
            self._changed.notify_all()

    def drop_idle(self) -> None:
        """Close what is kept: something may still come on it that is not for the next call."""
        for _ in range(len(self._idle)):
            try:
                self.discard(self._idle.popleft())
            except IndexError:  # taken by a call
                return

    def drop(self, error: Callable[[Request], TransportError]) -> None:
        """Close what is kept, and end the calls under way with an error: the peer behind them is gone."""
        with self._changed:
            for lease in self._open:
                lease.channel.give_up(error)
        self.drop_idle()

    def close(self) -> None:
        """Close every channel; calls under way end with `ClientClosed`, and are waited for. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.drop(self._closed_error)
        with self._changed:
            self._changed.wait_for(lambda: not self._open, CLOSE_S)

    def after_fork_in_child(self) -> None:
        for lease in self._open:
            lease.channel.abandon()
        self._changed = threading.Condition()
        self._line = deque()
        self._idle = deque()
        self._open = set()

    def _waited_for(self, request: Request, deadline: float) -> Lease:
        """A new channel, or the first that becomes free for whoever is first in line."""
        place = object()
        with self._changed:
            self._line.append(place)
            try:
                while not self._closed:
                    if self._line[0] is place and (lease := self._free_or_new()):
                        return lease
                    if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                        raise ConnectFailed(f"{request.method}: all {self._limit} connections were in use; nothing was sent")
            finally:
                self._line.remove(place)
                self._changed.notify_all()  # it is the next one's turn
        raise self._closed_error(request)

    def _idle_one(self) -> Lease | None:
        """The one used last, which is the warmest; none that has been given up since."""
        try:
            while not (lease := self._idle.pop()).channel.usable:
                self.discard(lease)
        except IndexError:
            return None
        return lease

    def _free_or_new(self) -> Lease | None:
        lease = self._idle_one()
        if lease is None and len(self._open) < self._limit:
            lease = Lease(self, self._open_channel())
            self._open.add(lease)
        return lease

    def _closed_error(self, request: Request) -> ClientClosed:
        return ClientClosed(f"{request.method}: the client of {self._endpoint} is closed")
