"""A client's socket for one call at a time: send, then wait, and know what became of the request.

A lost connection is noticed without waiting for the call's time to pass: the socket's monitor is read, but only after a
tick without an answer, so a prompt answer pays nothing for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import zmq

from kato_transport import fork
from kato_transport.contracts import ClientOptions
from kato_transport.errors import CallTimeout, ConnectFailed, ConnectionLost, TransportError
from kato_transport.model import Request
from kato_transport.zeromq.frames import Sock, readable, receive, send_now
from kato_transport.zeromq.sockets import client_socket, close_monitored

TICK_MS = 50

FRESH_S = 0.001
"""How long after an answer a connection is taken to be there without a look. Later the look is needed: libzmq's own threads
know sooner than the socket, which would take the request. Within it a break is noticed as one after sending is."""


class Channel:
    """One connected socket; not to be used by two threads at once, but for `give_up`."""

    def __init__(self, kind: int, endpoint: str, options: ClientOptions) -> None:
        self._endpoint = endpoint
        self._options = options
        self.usable = True
        """Whether the next call may have it."""
        self._given_up: Callable[[Request], TransportError] | None = None
        self._kind = kind
        self._unanswered = 0
        self._fresh_until = 0.0
        self._socket, self._monitor = self._connected()

    def send(self, request: Request, *frames: bytes | zmq.Frame) -> None:
        """Hand the frames to the connection; `ConnectFailed` where there is none within the connect timeout."""
        if time.monotonic() > self._fresh_until:
            self._renew_if_broken(request)
        try:
            send_now(self._socket, frames)
        except zmq.Again:
            self._send_when_possible(request, frames)
        self._unanswered += 1

    def receive(self, request: Request, deadline: float) -> list[bytes]:
        """The next message's frames; `CallTimeout` at the deadline, `ConnectionLost` where the connection broke."""
        while True:
            try:
                return self._answered(receive(self._socket))
            except zmq.Again:
                left_s = deadline - time.monotonic()
            self._check_given_up(request)
            if self.broke():
                return self._last_words(request)
            if left_s * 1000 < TICK_MS and not self._socket.poll(max(0, int(left_s * 1000))):
                self._unanswered = 0  # nobody waits any more
                raise CallTimeout(request.method, request.timeout_s, self._endpoint)

    def has_answer(self) -> bool:
        """Whether a message can be received at once."""
        return readable(self._socket)

    def give_up(self, error: Callable[[Request], TransportError]) -> None:
        """Have whoever waits on this channel end with an error, within a tick; called from any thread."""
        self._given_up = error
        self.usable = False

    def broke(self) -> bool:
        """Whether the connection broke since this was last asked."""
        broke = False
        while readable(self._monitor):
            receive(self._monitor)
            broke = True
        return broke

    def close(self) -> None:
        close_monitored(self._socket, self._monitor)

    def abandon(self) -> None:
        """In a forked child: keep the parent's sockets, unused."""
        fork.abandon((self._socket, self._monitor))

    def _connected(self) -> tuple[Sock, Sock]:
        limit = self._options.max_message_bytes
        return client_socket(self._kind, self._endpoint, limit, zmq.EVENT_DISCONNECTED, rcvtimeo=TICK_MS)

    def _renew_if_broken(self, request: Request) -> None:
        """The socket may not know yet, and would take the request into a connection that is gone."""
        if not self.broke():
            return
        if self._unanswered:
            raise self._lost(request)
        fresh = self._connected()
        self.close()
        self._socket, self._monitor = fresh

    def _send_when_possible(self, request: Request, frames: tuple[bytes | zmq.Frame, ...]) -> None:
        self._renew_if_broken(request)
        until = time.monotonic() + min(self._options.connect_timeout_s, request.timeout_s)
        while True:
            self._wait_for_peer(request, until)
            with suppress(zmq.Again):  # the connection went between asking and sending
                return send_now(self._socket, frames)

    def _wait_for_peer(self, request: Request, until: float) -> None:
        while not self._socket.poll(TICK_MS, zmq.POLLOUT):
            self._check_given_up(request)
            if time.monotonic() >= until:
                raise ConnectFailed(f"{request.method}: nothing listens at {self._endpoint}; nothing was sent")

    def _last_words(self, request: Request) -> list[bytes]:
        """An answer that came just before the connection broke, as a closing server sends it."""
        if readable(self._socket):
            return self._answered(receive(self._socket))
        raise self._lost(request)

    def _answered(self, frames: list[bytes]) -> list[bytes]:
        self._fresh_until = time.monotonic() + FRESH_S
        if self._unanswered:
            self._unanswered -= 1
        return frames

    def _lost(self, request: Request) -> ConnectionLost:
        return ConnectionLost(f"{request.method}: the connection to {self._endpoint} broke after sending; it may have run")

    def _check_given_up(self, request: Request) -> None:
        if self._given_up is not None:
            raise self._given_up(request)
