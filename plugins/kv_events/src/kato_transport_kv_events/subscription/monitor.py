"""What a socket's monitor tells of its connections."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

import zmq

from kato_transport.zeromq import readable

Sock = zmq.Socket[bytes]

UP: Final = zmq.EVENT_HANDSHAKE_SUCCEEDED
DOWN: Final = zmq.EVENT_DISCONNECTED
RETRIED: Final = zmq.EVENT_CONNECT_RETRIED
ACCEPTED: Final = zmq.EVENT_ACCEPTED
CLOSED: Final = zmq.EVENT_CLOSED
REFUSED: Final = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH


class Told(NamedTuple):
    """One event; `value` is the connection's file descriptor where there is one."""

    event: int
    value: int


def told(monitor: Sock) -> list[Told]:
    """What happened since it was last read."""
    events = []
    while readable(monitor):
        frame = monitor.recv_multipart()[0]
        events.append(Told(int.from_bytes(frame[:2], "little"), int.from_bytes(frame[2:6], "little")))
    return events


def wait_for(monitor: Sock, event: int, limit_s: float) -> None:
    """Read until an event comes, or for so long."""
    deadline = time.monotonic() + limit_s
    while monitor.poll(max(0, int(1000 * (deadline - time.monotonic())))):
        if any(happened == event for happened, _ in told(monitor)):
            return
