"""How many bytes of large answers each client leaves unread: libzmq bounds what waits for one in number only.

pyzmq tells when libzmq is done with a frame that was sent uncopied: it has left, or its connection has ended.
"""

from __future__ import annotations

from collections.abc import Iterable

import zmq

Large = list[tuple[int, zmq.MessageTracker]]


class Unread:
    """At most `limit` bytes of one client; not to be used by two threads at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[bytes, Large] = {}

    def takes(self, client: bytes, frames: Iterable[bytes | zmq.Frame]) -> bool:
        """Whether there is room for the large ones of an answer's frames, which then count as sent."""
        large: Large = [(len(frame), frame.tracker) for frame in frames if isinstance(frame, zmq.Frame)]
        waiting = _still(self._waiting.get(client, [])) + large
        if sum(size for size, _ in waiting) > self._limit:
            return False
        self._waiting[client] = waiting
        return True

    def forget_read(self) -> None:
        """Forget the clients that have read everything."""
        self._waiting = {client: left for client, waiting in self._waiting.items() if (left := _still(waiting))}


def _still(waiting: Large) -> Large:
    return [(size, tracker) for size, tracker in waiting if not tracker.done]
