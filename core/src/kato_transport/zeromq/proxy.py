"""Many processes, one connection to the server: libzmq's proxy device, a ROUTER in front and a DEALER behind.

The device runs in sessions. A session is one connection to the server and, for as long as that stands, a bound front; it
has a context of its own, and everything ends with it. So whoever calls while there is no server gets no connection, whoever
waits for an answer that cannot come any more loses its connection, and no request waits here to be run once its caller has
gone.

Ending the context is also what ends the device. It is a steerable one for its statistics only, which tell what is in flight:
a word to terminate is not heard while the device is held up in sending.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing

import zmq
from zmq.utils.monitor import recv_monitor_message

from kato_transport.contracts import ClientOptions
from kato_transport.protocol.liveness import Liveness
from kato_transport.wire import encode_heartbeat
from kato_transport.zeromq.frames import Sock, readable
from kato_transport.zeromq.sockets import (
    READING_S,
    RECONNECT_MAX_MS,
    SERVER_LINGER_MS,
    bind,
    bound_endpoint,
    client_socket,
    close_monitored,
    close_server,
    hard_limit,
    open_back_door,
    server_socket,
)

TICK_MS = 50
"""How soon `stop` is noticed."""

HEARTBEAT_FRAMES = 2
"""A heartbeat as the front takes it: who asks, and the message."""

log = logging.getLogger("kato_transport.proxy")


class Proxy:
    """Stands between clients and one server; does nothing until `run`.

    One server only: the copies of a call have to reach the server that knows whether it ran, and a client's calls the same
    memory. `endpoint` is as bound from the first session on, so that a port of 0 has become the real one.

    `InvalidSetting` where an endpoint is malformed, `BindFailed` where the front's cannot be had.
    """

    def __init__(self, endpoint: str, upstream: str, options: ClientOptions, drain_s: float) -> None:
        self.endpoint = endpoint
        self.upstream = upstream
        self.openings = 0
        self._options = options
        self._drain_s = drain_s
        limit = options.max_message_bytes
        close_monitored(*client_socket(zmq.DEALER, upstream, limit, zmq.EVENT_CLOSED))
        close_server(server_socket(zmq.ROUTER, endpoint, limit), just_answered=False)

    def run(self, stop: threading.Event, on_open: Callable[[], None]) -> None:
        """Pass requests and answers on until `stop` is set, then give what is in flight the drain time.

        `on_open` is called whenever the front has been bound; `BindFailed` where somebody took its place meanwhile.
        """
        while not stop.is_set():
            with closing(_Session(self.upstream, self._options)) as session:
                if not session.waits_for_server(stop):
                    return
                self.endpoint = session.open(self.endpoint)
                self.openings += 1
                on_open()
                if session.waits_for_loss(stop):
                    log.warning("%s is gone: nothing listens at %s until it is back", self.upstream, self.endpoint)
                    session.drain(0.0)
                else:
                    log.info("draining")
                    session.drain(self._drain_s)


class _Session:
    """One connection to the server, and what stands only as long as it does."""

    def __init__(self, upstream: str, options: ClientOptions) -> None:
        self._options = options
        self._context: zmq.Context[Sock] = zmq.Context()
        self._back = self._socket(zmq.DEALER, upstream)
        self._back.linger = 0
        self._back.reconnect_ivl = RECONNECT_MAX_MS  # so that a lost connection is not back before its session has ended
        self._connection = self._back.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self._back.connect(upstream)
        self._own = [self._connection, self._back]

    def waits_for_server(self, stop: threading.Event) -> bool:
        """Wait until the server is there; False where `stop` was set before."""
        while not stop.is_set():
            if self._connection.poll(TICK_MS) and _event(self._connection) == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return True
        return False

    def open(self, endpoint: str) -> str:
        """Bind the front and start the device; gives the endpoint as bound."""
        front = self._socket(zmq.ROUTER, endpoint)
        self._own.append(front)
        front.linger = SERVER_LINGER_MS
        front.router_handover = True
        bind(front, endpoint)
        bound = bound_endpoint(front)
        control = self._context.socket(zmq.PAIR)
        self._steering = self._joined(zmq.PAIR, open_back_door(control))
        pulse = self._joined(zmq.DEALER, open_back_door(front))
        self._pulse = _Pulse(pulse, self._options)
        self._own = [self._connection, self._steering, pulse]
        threading.Thread(target=_run_device, args=(front, self._back, control), name="kato-proxy", daemon=True).start()
        return bound

    def waits_for_loss(self, stop: threading.Event) -> bool:
        """Wait until the server is gone or silent; False where `stop` was set before."""
        while not stop.is_set():
            if self._is_lost(TICK_MS):
                return True
        return False

    def drain(self, at_most_s: float) -> None:
        """Wait for the answers to what is in flight, and until they have been read."""
        deadline = time.monotonic() + at_most_s
        while time.monotonic() < deadline and not self._is_lost(0) and self._in_flight():
            time.sleep(TICK_MS / 1000)
        time.sleep(READING_S)

    def close(self) -> None:
        """End the device and every connection."""
        for sock in self._own:
            sock.close()
        self._context.term()

    def _socket(self, kind: int, endpoint: str) -> Sock:
        sock = self._context.socket(kind)
        sock.maxmsgsize = hard_limit(self._options.max_message_bytes)
        sock.tcp_keepalive = 1
        sock.tcp_keepalive_idle = 60
        sock.ipv6 = "[" in endpoint
        return sock

    def _joined(self, kind: int, back_door: str) -> Sock:
        """A socket of the session's own, for what goes through the device and what goes to it."""
        sock = self._context.socket(kind)
        sock.linger = 0
        sock.connect(back_door)
        return sock

    def _is_lost(self, wait_ms: int) -> bool:
        return bool(self._connection.poll(wait_ms)) or self._pulse.has_stopped()

    def _in_flight(self) -> bool:
        """Whether the front has taken more than it gave back; also while the device is too busy to say."""
        self._steering.send(b"STATISTICS")
        if not self._steering.poll(TICK_MS):
            return True
        taken, _, given, *_ = (int.from_bytes(count, sys.byteorder) for count in self._steering.recv_multipart())
        return taken - given > HEARTBEAT_FRAMES * self._pulse.unanswered


class _Pulse:
    """Asks the server for signs of life, through the device, as its clients do.

    A server that has never given one is asked once and not judged: REP takes one request at a time, and no heartbeats.
    """

    def __init__(self, sock: Sock, options: ClientOptions) -> None:
        self._sock = sock
        self._codec = options.codec
        self._liveness = Liveness(options.heartbeat_interval_s, options.liveness, time.monotonic())
        self._felt = False
        self.unanswered = 0
        if options.heartbeat_interval_s:
            self._ask()

    def has_stopped(self) -> bool:
        """Whether the server has fallen silent; asks, where it is time to."""
        now = time.monotonic()
        while readable(self._sock):
            self._sock.recv_multipart()
            self._felt = True
            self.unanswered -= 1
            self._liveness.heard(now)
        if self._felt and self._liveness.heartbeat_due(now):
            self._ask()
        return self._felt and self._liveness.lost(now)

    def _ask(self) -> None:
        self._sock.send(encode_heartbeat(self._codec))
        self.unanswered += 1


def _run_device(front: Sock, back: Sock, control: Sock) -> None:
    """Pass messages on until the context ends."""
    try:
        zmq.proxy_steerable(front, back, None, control)
    except zmq.ContextTerminated:
        pass
    finally:
        for sock in (front, back, control):
            sock.close()


def _event(monitor: Sock) -> int:
    event: int = recv_monitor_message(monitor)["event"]
    return event
