"""The replay sockets of one manager: one for each round, and only so many rounds at once.

An answer does not say which request it is to. A socket that lives for one request cannot mistake one for another, nor
take the answer of an engine's former life for that of the present one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import zmq

from kato_transport import TransportError
from kato_transport.zeromq import client_socket, close_monitored, readable
from kato_transport_kv_events.subscription.feed import Feed
from kato_transport_kv_events.subscription.frames import NUMBER_BYTES, Malformed, receive_replayed
from kato_transport_kv_events.subscription.limits import Limits
from kato_transport_kv_events.subscription.loop import Loop, Sock
from kato_transport_kv_events.subscription.monitor import DOWN, told

BURST = 256
"""Batches read in a row before others get their turn."""


class Replays:
    """Gives rounds their turn."""

    def __init__(self, loop: Loop, limits: Limits) -> None:
        self._loop = loop
        self._limits = limits
        self._under_way: dict[Feed, ReplaySocket] = {}
        self._waiting: dict[Feed, int] = {}

    def check(self, endpoint: str) -> None:
        """`InvalidSetting` for an endpoint that is none, before it is needed."""
        close_monitored(*_dealer(endpoint, self._limits))

    def ask(self, feed: Feed, start: int) -> None:
        """Ask for a source's batches from a number on, now or as soon as there is room; ends what was under way for it."""
        self._end(feed)
        self._waiting[feed] = start
        self._fill()

    def quit(self, feed: Feed) -> None:
        """The source waits for no answer any more."""
        self._waiting.pop(feed, None)
        self._end(feed)
        self._fill()

    def close(self) -> None:
        self._waiting.clear()
        for feed in list(self._under_way):
            self._end(feed)

    def _fill(self) -> None:
        while self._waiting and len(self._under_way) < self._limits.max_rounds:
            feed = next(iter(self._waiting))
            start = self._waiting.pop(feed)
            now = time.monotonic()
            try:
                self._under_way[feed] = ReplaySocket(self._loop, feed, start, self._limits, self.quit)
            except TransportError as exc:
                feed.error("replay", str(exc))
                feed.replay_failed(now)
            else:
                feed.asked(now)

    def _end(self, feed: Feed) -> None:
        sock = self._under_way.pop(feed, None)
        if sock is not None:
            sock.close()


class ReplaySocket:
    """One request and its answer; raises `TransportError` where there can be no socket."""

    def __init__(self, loop: Loop, feed: Feed, start: int, limits: Limits, done: Callable[[Feed], None]) -> None:
        self._loop = loop
        self._feed = feed
        self._done = done
        self._closed = False
        self._broken = False
        self._socket, self._monitor = _dealer(feed.source.replay_endpoint, limits)
        self._socket.send_multipart([b"", start.to_bytes(NUMBER_BYTES, "big")], zmq.DONTWAIT)
        loop.watch(self._socket, self.visit)
        loop.watch(self._monitor, self.visit)

    def is_closed(self) -> bool:
        return self._closed

    def visit(self, now: float) -> bool:
        """What came live before an answer is told of before it."""
        if self.is_closed():
            return False
        answered, ended = self._burst()
        self._feed.catch_up(now)
        for sequence, payload in answered:
            if self.is_closed():  # what came live, or what was in the answer, called for another round
                return False
            self._feed.replayed(now, sequence, payload)
        if self.is_closed():
            return False
        if ended:
            self._done(self._feed)
            self._feed.replay_ended(now)
            return False
        self._broken = self._broken or bool(told(self._monitor))
        if readable(self._socket):
            return True
        if self._broken:  # what is still to come is lost with the connection
            self._done(self._feed)
            self._feed.replay_failed(now)
        return False

    def close(self) -> None:
        self._closed = True
        self._loop.forget(self._socket, self.visit)
        self._loop.forget(self._monitor, self.visit)
        close_monitored(self._socket, self._monitor)

    def _burst(self) -> tuple[list[tuple[int, bytes]], bool]:
        """What is there, up to the end marker."""
        burst: list[tuple[int, bytes]] = []
        while len(burst) < BURST:
            try:
                batch = receive_replayed(self._socket)
            except zmq.Again:
                break
            except Malformed:
                self._feed.error("replay", f"{self._feed.source.replay_endpoint}: an answer that is none")
                continue
            if batch is None:
                return burst, True
            burst.append(batch)
        return burst, False


def _dealer(endpoint: str, limits: Limits) -> tuple[Sock, Sock]:
    return client_socket(
        zmq.DEALER,
        endpoint,
        limits.max_message_bytes,
        DOWN,
        immediate=False,  # the request waits for the connection
        rcvhwm=0,  # engines drop what a finite mark leaves no room for
        **limits.patience(),
    )
