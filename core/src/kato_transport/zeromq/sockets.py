"""Sockets with the options that this library relies on, and ZeroMQ's errors mapped to its own.

* `IMMEDIATE` on clients: nothing is queued for a peer that is not there, so an unsent request is known to be unsent.
* `LINGER` 0 on clients: closing never waits; short on servers, so that last answers leave.
* Never `HEARTBEAT_IVL`: with a slow reader libzmq 4.3.5 aborts the whole process (libzmq issues 3937 and 4767).
"""

from __future__ import annotations

import errno
import itertools
import socket as unix
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import zmq

from kato_transport.errors import BindFailed, ConnectFailed, InvalidSetting
from kato_transport.zeromq.context import current_context
from kato_transport.zeromq.frames import Sock
from kato_transport.zeromq.inherited import served

RECONNECT_MS = 10
RECONNECT_MAX_MS = 100
"""libzmq's back-off between attempts to reconnect: a server that returns is found again within a tenth of a second."""

SERVER_LINGER_MS = 500
UNBIND_MS = 1_000
KNOCK_MS = 100
LAST_PORT = 65_535
READING_S = 0.2
"""What a client gets to read a last answer before the connection goes; on a busy machine its thread may be woken late."""
_monitors = itertools.count()
_MALFORMED = (errno.EINVAL, errno.EPROTONOSUPPORT, zmq.ENOCOMPATPROTO)


def client_socket(kind: int, endpoint: str, max_message_bytes: int, events: int, **options: Any) -> tuple[Sock, Sock]:
    """A socket that connects, and reconnects, to an endpoint, and the monitor that tells of its `events`.

    `options` are pyzmq attributes, set before connecting.
    """
    sock = _socket(kind, endpoint, max_message_bytes)
    sock.linger = 0
    sock.immediate = True
    sock.reconnect_ivl = RECONNECT_MS
    sock.reconnect_ivl_max = RECONNECT_MAX_MS
    for name, value in options.items():
        setattr(sock, name, value)
    try:
        monitor = monitor_socket(sock, events)  # before connecting, so that nothing is missed
    except zmq.ZMQError as exc:
        sock.close()
        raise ConnectFailed(f"no socket for {endpoint}: {exc}; nothing was sent") from exc
    try:
        _check_port(endpoint)
        sock.connect(endpoint)
    except zmq.ZMQError as exc:
        close_monitored(sock, monitor)
        raise _malformed(endpoint, exc) from exc
    except InvalidSetting:
        close_monitored(sock, monitor)
        raise
    return sock, monitor


def server_socket(kind: int, endpoint: str, max_message_bytes: int, **options: Any) -> Sock:
    """A socket bound to an endpoint; `BindFailed` where it cannot be had, `InvalidSetting` where it is malformed."""
    try:
        sock = _socket(kind, endpoint, max_message_bytes)
    except ConnectFailed as exc:
        raise BindFailed(f"cannot serve at {endpoint}: {exc.__cause__}") from exc
    sock.linger = SERVER_LINGER_MS
    for name, value in options.items():
        setattr(sock, name, value)
    try:
        bind(sock, endpoint)
    except BaseException:
        sock.close(linger=0)
        raise
    served.add(sock, bound_endpoint(sock))
    return sock


def close_monitored(sock: Sock, monitor: Sock) -> None:
    """Close a socket and its monitor."""
    sock.disable_monitor()
    monitor.close()
    sock.close()


def close_server(sock: Sock, just_answered: bool) -> None:
    """Close a server's socket, and wait until its port is free: libzmq lets go of it on a thread of its own.

    Not by unbinding first: that ends the connections together with the listener, and answers that were not yet on their
    way are lost; closing gives them the linger time. And not at once where something was `just_answered`: a client's libzmq
    with `IMMEDIATE` set drops what it has received, and nobody has read yet, together with the connection.
    """
    if just_answered:
        time.sleep(READING_S)
    served.discard(sock)
    try:
        monitor = monitor_socket(sock, zmq.EVENT_CLOSED)
    except zmq.ZMQError:  # no descriptors are left to wait with
        sock.close()
        return
    sock.close()
    monitor.poll(UNBIND_MS)
    monitor.close()


def open_back_door(sock: Sock) -> str:
    """A second endpoint of a server's socket, for `knock` only: its thread waits in `recv`, which nothing else ends."""
    endpoint = f"inproc://{uuid4().hex}"
    sock.bind(endpoint)
    return endpoint


def knock(kind: int, back_door: str) -> None:
    """Have a server's thread receive an empty message, from a client socket of the kind that goes with it.

    The thread may have ended of itself meanwhile, and with it the door: then there is nobody to wait for. And a process that
    has run out of descriptors cannot knock, so a thread must not rely on it alone to find out that it is to end.
    """
    try:
        sock = current_context().socket(kind)
    except zmq.ZMQError:
        return
    with sock, suppress(zmq.Again):
        sock.linger = SERVER_LINGER_MS
        sock.sndtimeo = KNOCK_MS
        sock.connect(back_door)
        sock.send(b"")


def bind(sock: Sock, endpoint: str) -> None:
    """Bind, or say why not."""
    if endpoint.startswith("ipc://") and _is_served(endpoint.removeprefix("ipc://")):
        raise BindFailed(f"cannot serve at {endpoint}: another process serves there")
    _check_port(endpoint)
    try:
        sock.bind(endpoint)
    except zmq.ZMQError as exc:
        if exc.errno in _MALFORMED:
            raise _malformed(endpoint, exc) from exc
        raise BindFailed(f"cannot serve at {endpoint}: {exc}; choose another, or port 0 for any free one") from exc


def bound_endpoint(sock: Sock) -> str:
    """The endpoint a server's socket got: a port of 0 has become the real one."""
    found: bytes = sock.getsockopt(zmq.LAST_ENDPOINT)  # type: ignore[assignment]
    return found.rstrip(b"\0").decode()


def descriptor(sock: Sock) -> int:
    """The file descriptor that becomes readable when the socket's state changes: edge-triggered, see libzmq `ZMQ_FD`."""
    return int(sock.getsockopt(zmq.FD))


def _socket(kind: int, endpoint: str, max_message_bytes: int) -> Sock:
    try:
        sock = current_context().socket(kind)
    except zmq.ZMQError as exc:
        raise ConnectFailed(f"no socket for {endpoint}: {exc}; nothing was sent") from exc
    sock.maxmsgsize = hard_limit(max_message_bytes)
    sock.tcp_keepalive = 1
    sock.tcp_keepalive_idle = 60
    sock.ipv6 = "[" in endpoint
    return sock


def monitor_socket(sock: Sock, events: int) -> Sock:
    """What tells of a socket's events, at an address of its own: pyzmq names it by the descriptor, which the socket before may
    have had, and libzmq may not have let go of that one's monitor yet."""
    return sock.get_monitor_socket(events, f"inproc://monitor-{next(_monitors)}")


def hard_limit(max_message_bytes: int) -> int:
    """Where libzmq cuts a peer off before it takes in the frame; what lies between is answered `too_large`."""
    return 2 * max_message_bytes + 1024 * 1024


def _check_port(endpoint: str) -> None:
    """libzmq takes a port beyond the last for another one."""
    port = endpoint.rpartition(":")[2]
    if endpoint.startswith("tcp://") and port.isdigit() and int(port) > LAST_PORT:
        raise _malformed(endpoint, f"there is no port {port}")


def _malformed(endpoint: str, why: object) -> InvalidSetting:
    return InvalidSetting(f"endpoint {endpoint!r}: {why}; expected tcp://HOST:PORT or ipc://PATH")


def _is_served(path: str) -> bool:
    """libzmq takes over an ipc path even while another process serves there, so ask first."""
    with unix.socket(unix.AF_UNIX) as probe:
        try:
            return probe.connect_ex(path) == 0
        except OSError:  # no path at all, as one that is too long; binding says so
            return False
