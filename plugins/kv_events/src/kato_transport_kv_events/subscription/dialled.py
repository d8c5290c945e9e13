"""A live socket that connects to an engine: one socket for each connection.

libzmq would reconnect within the same socket, and what a broken connection left unread would come before what the new one
brings, with nothing to tell them apart (and `ZMQ_IMMEDIATE`, which drops it, aborts the process where a message was half
read). So a broken connection ends its socket: what it left is read first, unless the socket has reconnected by itself
meanwhile; then nobody can tell, and it is thrown away, for the replay endpoint to bring again.
"""

from __future__ import annotations

import zmq

from kato_transport import TransportError
from kato_transport.zeromq import client_socket, close_monitored, readable
from kato_transport_kv_events.subscription.feed import Feed
from kato_transport_kv_events.subscription.frames import Live, Malformed, receive_live
from kato_transport_kv_events.subscription.limits import Limits
from kato_transport_kv_events.subscription.loop import Loop
from kato_transport_kv_events.subscription.monitor import DOWN, REFUSED, RETRIED, UP, Told, told
from kato_transport_kv_events.subscription.source import Source

BURST = 256
"""Batches read in a row before others get their turn."""
STEADY_S = 5.0
"""A connection that lasted so long is followed by a new one at once; after shorter ones there is a wait."""
FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 5.0


class DialledSocket:
    """Connects, and connects anew, from `serve` to `release`; lives on the loop's thread."""

    def __init__(self, loop: Loop, source: Source, limits: Limits) -> None:
        self.endpoint = source.endpoint
        self._topic = source.topic.encode()
        self._loop = loop
        self._limits = limits
        self._up_at: float | None = None
        self._wait_s = FIRST_WAIT_S
        self._released = False
        self._opened = False

    def serve(self, feed: Feed) -> None:
        """Tell this source from now on; `InvalidSetting` for an endpoint that is none."""
        self._feed = feed
        self._open()

    def release(self, feed: Feed) -> None:
        self._released = True
        self._shut()

    def is_open(self) -> bool:
        return self._opened

    def catch_up(self, now: float) -> None:
        """Tell of everything that is there to be read."""
        for _ in range(self._limits.receive_high_water_mark // BURST + 1):
            if not self.visit(now):
                return

    def visit(self, now: float) -> bool:
        if not self.is_open():
            return False
        burst = self._burst()
        for event, _ in (events := told(self._monitor)):
            if event == UP:
                self._up(now)
            elif event == DOWN and self._up_at is not None:
                self._down(now, burst, self._has_reconnected(events))
                return False
            elif event == RETRIED:
                self._feed.tally.reconnect_attempts += 1
                self._feed.error("connect", f"{self.endpoint}: no connection")
            elif event & REFUSED:
                self._feed.error("connect", f"{self.endpoint}: whatever listens there is no publisher")
        for batch in burst:
            if not self.is_open():  # a handler had it released
                return False
            self._feed.live(now, *batch)
        return len(burst) == BURST or readable(self._socket) or readable(self._monitor)

    # --- inside -------------------------------------------------------------------------------------------------

    def _burst(self) -> list[Live]:
        burst: list[Live] = []
        receive, append, sock = receive_live, burst.append, self._socket
        while len(burst) < BURST:
            try:
                append(receive(sock))
            except zmq.Again:
                break
            except Malformed:
                self._feed.error("frames", f"{self.endpoint}: a message that is no batch")
        return burst

    def _up(self, now: float) -> None:
        self._up_at = now
        self._feed.connected(now)

    def _down(self, now: float, burst: list[Live], reconnected: bool) -> None:
        """Tell of what the connection left, or not, and open the next one."""
        while not reconnected and self.is_open():
            for batch in burst:
                self._feed.live(now, *batch)
            burst = self._burst()
            reconnected = not burst or self._has_reconnected(told(self._monitor))
        self._feed.tally.discarded += len(burst)
        lasted_s = now - (self._up_at or now)
        self._feed.disconnected(now)
        self._shut()
        self._wait_s = 0.0 if lasted_s >= STEADY_S else min(max(FIRST_WAIT_S, 2 * self._wait_s), LONGEST_WAIT_S)
        self._loop.at(now + self._wait_s, self._reopen)

    @staticmethod
    def _has_reconnected(events: list[Told]) -> bool:
        """Whether the last thing that happened is a handshake after a disconnection."""
        kinds = [event for event, _ in events if event in (UP, DOWN)]
        return UP in kinds[kinds.index(DOWN) :] if DOWN in kinds else UP in kinds

    def _reopen(self, now: float) -> None:
        if self._released:
            return
        try:
            self._open()
        except TransportError as exc:
            self._feed.error("connect", str(exc))
            self._wait_s = min(2 * max(FIRST_WAIT_S, self._wait_s), LONGEST_WAIT_S)
            self._loop.at(now + self._wait_s, self._reopen)

    def _open(self) -> None:
        self._socket, self._monitor = client_socket(
            zmq.SUB,
            self.endpoint,
            self._limits.max_message_bytes,
            UP | DOWN | RETRIED | REFUSED,
            immediate=False,
            rcvhwm=self._limits.receive_high_water_mark,
            subscribe=self._topic,
            **self._limits.patience(),
        )
        self._opened = True
        self._loop.watch(self._socket, self.visit)
        self._loop.watch(self._monitor, self.visit)

    def _shut(self) -> None:
        if self._opened:
            self._opened = False
            self._up_at = None
            self._loop.forget(self._socket, self.visit)
            self._loop.forget(self._monitor, self.visit)
            close_monitored(self._socket, self._monitor)
