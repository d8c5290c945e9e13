"""Messages into and out of sockets, frame by frame.

By hand, as pyzmq's `send_multipart` and `recv_multipart` cost three times as much: flags are plain integers, as one `|` or `&`
of pyzmq's enums takes half a microsecond; a frame is sent without a look for routing ids and groups, which no socket here
has; and a received frame knows whether more follow, which is cheaper than to ask the socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import zmq
from zmq import backend

Sock = zmq.Socket[bytes]

NOW: Final = int(zmq.DONTWAIT)
_READABLE: Final = int(zmq.POLLIN)
WRITABLE: Final = int(zmq.POLLOUT)
_MORE: Final = int(zmq.SNDMORE | zmq.DONTWAIT)
_EVENTS: Final = int(zmq.EVENTS)

_send = backend.Socket.send


def send_now(sock: Sock, frames: Sequence[bytes | zmq.Frame]) -> None:
    """Hand a message over without waiting, all of it or nothing; `zmq.Again` where there is no room, or no peer."""
    number, last = 0, len(frames) - 1
    try:
        while number < last:
            _send(sock, frames[number], _MORE)
            number += 1
    except zmq.Again:
        if number:
            _drop(sock, frames[number + 1 :])
        raise
    _send(sock, frames[last], NOW)


def _drop(sock: Sock, rest: Sequence[bytes | zmq.Frame]) -> None:
    """A peer went in the midst of a message, whose rest libzmq drops, up to a message's end: let it be this one's."""
    for frame in rest[:-1]:
        _send(sock, frame, _MORE)
    _send(sock, rest[-1], NOW)


def receive(sock: Sock, flags: int = 0) -> list[bytes]:
    """The next message's frames; `zmq.Again` where there is none within the socket's time, or at once with `NOW`."""
    frame = sock.recv(flags, False)
    frames = [frame.bytes]
    while frame.more:
        frame = sock.recv(NOW, False)
        frames.append(frame.bytes)
    return frames


def events(sock: Sock) -> int:
    """What is possible at once, `zmq.POLLIN` and `WRITABLE` or-ed; takes in the news of libzmq's own threads."""
    return int(sock.get(_EVENTS))


def readable(sock: Sock) -> bool:
    """Whether a message can be received at once."""
    return bool(int(sock.get(_EVENTS)) & _READABLE)
