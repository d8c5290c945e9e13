"""One DEALER on an event loop: many exchanges in flight, heartbeats, and notice of a peer that is gone.

The socket's file descriptor is edge-triggered, so it is read until it is empty, and looked at again after every send
(libzmq, `ZMQ_FD`). Everything here runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import zmq
from attrs import define

from kato_transport import ClientOptions, ConnectFailed, ConnectionLost, Request
from kato_transport.errors import CallTimeout, ClientClosed, DecodeError
from kato_transport.protocol.correlation import InFlight
from kato_transport.protocol.liveness import Liveness
from kato_transport.wire import encode_heartbeat
from kato_transport.zeromq import (
    NOW,
    WRITABLE,
    client_socket,
    close_monitored,
    descriptor,
    events,
    readable,
    receive,
    send_now,
)
from kato_transport_zmq_improved.framing import Frames
from kato_transport_zmq_improved.negotiation import refuses_correlation

TICK_S = 0.05
"""How exactly a deadline is kept while something is in flight."""

REOPEN_S = 0.5
"""How soon a socket is asked for again where none was to be had."""

PLAIN = b""
"""The correlation of an exchange with a server that knows none: at most one is in flight."""

log = logging.getLogger("kato_transport.improved")


@define(eq=False)
class Exchange:
    """One request on its way: its frames until they are sent, and the future of the answer's."""

    request: Request
    correlation: bytes
    frames: Frames
    answer: asyncio.Future[list[bytes]]
    deadline: float
    send_by: float


class Dealer:
    """Connects at once and reconnects by itself; `close` ends what is in flight with `ClientClosed`."""

    def __init__(
        self, endpoint: str, options: ClientOptions, on_new_connection: Callable[[], None], on_silence: Callable[[], None]
    ) -> None:
        self._endpoint = endpoint
        self._options = options
        self._on_new_connection = on_new_connection
        self._on_silence = on_silence
        self._loop = asyncio.get_running_loop()
        self._in_flight: InFlight[Exchange] = InFlight()
        self._unsent: deque[Exchange] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._pumps_soon = False
        self.reconnections = -1
        self._closed = False
        self._open()
        self._set_timer()

    @property
    def silent_s(self) -> float:
        """Seconds since the peer was last heard."""
        return self._liveness.silent_for(time.monotonic())

    def exchange(self, request: Request, frames: Frames, correlation: bytes, deadline: float) -> asyncio.Future[list[bytes]]:
        """Send frames; the future ends in the answer's frames or in an error, at the deadline at the latest."""
        if self._closed:
            raise ClientClosed(f"the client of {self._endpoint} is closed")
        exchange = Exchange(
            request,
            correlation,
            [correlation, *frames] if correlation else frames,
            self._loop.create_future(),
            deadline,
            min(deadline, time.monotonic() + self._options.connect_timeout_s),
        )
        self._unsent.append(exchange)
        if self._connected:
            if len(self._in_flight):
                self._pump_soon()
            else:
                self._send_alone()
        if not self._busy:
            self._busy = True
            self._set_timer()
        return exchange.answer

    def close(self) -> None:
        self._closed = True
        self._stop()
        self._fail_all(ClientClosed(f"the client of {self._endpoint} was closed before the answer came"))

    def reopen(self, why: str) -> None:
        """A new socket: whatever the peer may still send on the old one is not for anybody."""
        self._shut()
        for exchange in self._in_flight.abandoned():
            _fail(exchange, ConnectionLost(f"{exchange.request.method}: {why}; it may have run"))
        self._open_when_possible()

    # --- the socket ---------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._connected = False
        self._liveness = Liveness(self._options.heartbeat_interval_s, self._options.liveness, time.monotonic())
        self._socket, self._monitor = client_socket(
            zmq.DEALER,
            self._endpoint,
            self._options.max_message_bytes,
            zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED,
        )
        self._loop.add_reader(descriptor(self._socket), self._pump)
        self._loop.add_reader(descriptor(self._monitor), self._on_monitor)
        self._loop.call_soon(self._on_monitor)  # a descriptor's first change may have come before anybody looked

    def _open_when_possible(self) -> None:
        """Where descriptors have run out, requests wait for a socket as they wait for a peer."""
        if self._closed or not self._socket.closed:
            return
        try:
            self._open()
        except ConnectFailed as exc:
            log.warning("%s; trying again", exc)
            self._loop.call_later(REOPEN_S, self._open_when_possible)

    def _shut(self) -> None:
        if self._socket.closed:  # none was to be had since
            return
        self._loop.remove_reader(descriptor(self._socket))
        self._loop.remove_reader(descriptor(self._monitor))
        close_monitored(self._socket, self._monitor)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._shut()

    def _pump(self) -> None:
        """Receive and send for as long as either is possible: the descriptor tells of a change once only.

        What is possible is asked of `EVENTS`, which takes in news from libzmq's own threads; a send by itself may not, and
        then fails although there is a peer.
        """
        self._pumps_soon = False
        if self._socket.closed:
            return
        self._take_all()
        if not self._unsent:
            return
        while self._unsent and self._connected and events(self._socket) & WRITABLE:
            self._send_all()
        if readable(self._socket):  # since it was empty, which nothing else may tell of
            self._pump_soon()

    def _send_alone(self) -> None:
        """At once, as nothing else will go with it, and without a turn of the loop where that has nothing to do."""
        self._send_all()
        if self._unsent or readable(self._socket):
            self._pump_soon()

    def _pump_soon(self) -> None:
        """Once for all that is to be sent until the loop turns: each by itself would wake libzmq's thread and the server's,
        which costs more than the request."""
        if not self._pumps_soon:
            self._pumps_soon = True
            self._loop.call_soon(self._pump)

    def _take_all(self) -> None:
        """Until there is nothing: to be told so costs less than to ask before each of many."""
        sock, heard = self._socket, False
        with suppress(zmq.Again):
            while self._socket is sock and not sock.closed:
                frames = receive(sock, NOW)
                heard = True
                self._take(frames)
        if heard:
            self._liveness.heard(time.monotonic())

    def _on_monitor(self) -> None:
        """A broken connection ends what was sent over it; a new one lets what waits go out."""
        if self._socket.closed:
            return
        while readable(self._monitor):
            event = int.from_bytes(receive(self._monitor)[0][:2], "little")
            if event == zmq.EVENT_DISCONNECTED:
                self._connected = False
                self._take_all()  # answers may have come just before
                for exchange in self._in_flight.abandoned():
                    _fail(exchange, _lost(exchange, self._endpoint))
            else:
                self._connected = True
                self.reconnections += 1
                if self.reconnections:
                    self._on_new_connection()
                self._liveness.heard(time.monotonic())
        self._pump()

    def _send_all(self) -> None:
        """As far as there is room."""
        while self._unsent:
            exchange = self._unsent[0]
            if not exchange.answer.done():  # else given up by its caller
                try:
                    send_now(self._socket, exchange.frames)
                except zmq.Again:  # the room, or the connection, went since it was asked for
                    return
                self._in_flight.add(exchange.correlation, exchange.deadline, exchange)
            self._unsent.popleft()

    def _take(self, frames: list[bytes]) -> None:
        if len(frames) > 1:
            _answer(self._in_flight.answered(frames[0]), frames)
        elif not self._is_heartbeat(frames[0]):
            self._take_plain(frames[0])

    def _is_heartbeat(self, message: bytes) -> bool:
        try:
            answer = self._options.codec.decode(message)
        except DecodeError:
            return False
        return isinstance(answer, dict) and (answer.get("type") == "heartbeat" or answer.get("status") == "ok")

    def _take_plain(self, message: bytes) -> None:
        """An answer without correlation: to the exchange that has none, or an old server's, which can read no other."""
        exchange = self._in_flight.answered(PLAIN)
        if exchange is not None:
            _answer(exchange, [message])
            return
        if refuses_correlation(self._options.codec, message):
            self.reopen("a server without correlation ids took over")
            self._on_new_connection()

    # --- time ---------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """Tick finely while something is in flight; else only as often as heartbeats ask for."""
        wait_s = TICK_S if self._busy else self._options.heartbeat_interval_s
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(wait_s, self._on_time) if wait_s else None

    def _on_time(self) -> None:
        self._timer = None
        now = time.monotonic()
        for exchange in self._in_flight.expired(now):
            _fail(exchange, CallTimeout(exchange.request.method, exchange.request.timeout_s, self._endpoint))
        overdue = [exchange for exchange in self._unsent if exchange.send_by <= now]
        for exchange in overdue:
            self._unsent.remove(exchange)
            _fail(exchange, ConnectFailed(f"{exchange.request.method}: nothing listens at {self._endpoint}; nothing was sent"))
        try:
            self._keep_alive(now)
            self._pump()  # what was taken in may have made room
        finally:  # whatever happened, time goes on
            self._busy = bool(self._unsent or len(self._in_flight))
            self._set_timer()

    def _keep_alive(self, now: float) -> None:
        if not self._connected:
            return
        self._take_all()  # what came while this thread was held up is a sign of life, too
        if self._liveness.lost(now):
            log.warning("%s: silent for %.1f s; connecting anew", self._endpoint, self._liveness.silent_for(now))
            self.reopen(f"{self._endpoint} is silent")
            self._on_silence()
        elif self._liveness.heartbeat_due(now):
            try:
                send_now(self._socket, [encode_heartbeat(self._options.codec)])
            except zmq.Again:
                return  # nobody there to ask; libzmq goes on connecting
            self._pump()

    def _fail_all(self, error: Exception) -> None:
        waiting = [*self._unsent, *self._in_flight.abandoned()]
        self._unsent.clear()
        for exchange in waiting:
            _fail(exchange, error)


def _lost(exchange: Exchange, endpoint: str) -> ConnectionLost:
    return ConnectionLost(f"{exchange.request.method}: the connection to {endpoint} broke after sending; it may have run")


def _answer(exchange: Exchange | None, frames: list[bytes]) -> None:
    if exchange is not None and not exchange.answer.done():
        exchange.answer.set_result(frames)


def _fail(exchange: Exchange, error: Exception) -> None:
    if not exchange.answer.done():
        exchange.answer.set_exception(error)
