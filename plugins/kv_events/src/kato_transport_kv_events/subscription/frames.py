"""Messages read frame by frame, without waiting: live batches, and answers of the replay endpoint.

By hand, as `recv_multipart` makes a list and costs twice as much; with the more-flag looked at after every frame, as
otherwise a message of the wrong shape would shift all that follow.
"""

from __future__ import annotations

from typing import Final

import zmq

from kato_transport_kv_events.wire import END

NUMBER_BYTES: Final = 8
Sock = zmq.Socket[bytes]
Live = tuple[bytes, int, bytes]
"""Topic, number, payload."""


class Malformed(Exception):
    """A message was read that is none of what is expected; the next one is whole again."""


def receive_live(sock: Sock) -> Live:
    """The next live batch; `zmq.Again` where there is none, `Malformed` for anything else than its three frames."""
    topic = sock.recv(zmq.DONTWAIT)
    return topic, *_number_and_payload(sock)


def receive_live_with_connection(sock: Sock) -> tuple[int, Live]:
    """As `receive_live`, with the file descriptor of the connection that the batch came over."""
    first = sock.recv(zmq.DONTWAIT, copy=False)
    connection = int(first.get(zmq.SRCFD))
    return connection, (first.bytes, *_number_and_payload(sock))


def receive_replayed(sock: Sock) -> tuple[int, bytes] | None:
    """The next batch of an answer, None at its end; `zmq.Again` and `Malformed` as above.

    Whatever lies between the empty frame and the last two is the engine's version's affair.
    """
    frames = [sock.recv(zmq.DONTWAIT)]
    while sock.getsockopt(zmq.RCVMORE):
        frames.append(sock.recv())
    if len(frames) < 3 or frames[0] or len(frames[-2]) != NUMBER_BYTES:
        raise Malformed
    return None if frames[-2] == END else (int.from_bytes(frames[-2], "big"), frames[-1])


def _number_and_payload(sock: Sock) -> tuple[int, bytes]:
    if not sock.getsockopt(zmq.RCVMORE):
        raise Malformed
    number = sock.recv(copy=False)  # a frame knows its flag, which costs less than to ask the socket
    if not number.more:
        raise Malformed
    payload = sock.recv(copy=False)
    if payload.more:
        while sock.getsockopt(zmq.RCVMORE):
            sock.recv()
        raise Malformed
    if len(number) != NUMBER_BYTES:
        raise Malformed
    return int.from_bytes(number.bytes, "big"), payload.bytes
