"""One socket for each data-parallel rank, on ports that follow each other, as engines have them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from secrets import randbelow
from typing import Any, Final

import zmq

from kato_transport.errors import BindFailed, InvalidSetting
from kato_transport.zeromq import close_server, current_context, monitor_socket, server_socket
from kato_transport_kv_events.subscription.source import ports_on

ANY_PORT: Final = ":0"
FIRST_PORTS: Final = range(16_384, 31_744)
"""Where many free ports in a row are looked for: systems give connections theirs from 32,768 on, one here and one there."""
ATTEMPTS: Final = 50
INCOMING_BYTES: Final = 1024
"""Subscriptions and requests for a replay are smaller by far."""
GONE_MS: Final = 2_000
LINGER_MS: Final = 500
"""What was published last leaves before the socket is gone."""
Sock = zmq.Socket[bytes]


def bind_ranks(kind: int, endpoint: str, ranks: int, **options: Any) -> list[Sock]:
    """Sockets bound to the endpoint and the ports after it; port 0 is the first of as many free ones in a row.

    Raises `BindFailed` or `InvalidSetting`.
    """
    if ranks == 1 or not endpoint.endswith(ANY_PORT):
        return _bind_row(kind, endpoint, ranks, options)
    for _ in range(ATTEMPTS - 1):
        with suppress(BindFailed):
            return _bind_row(kind, _somewhere(endpoint), ranks, options)
    return _bind_row(kind, _somewhere(endpoint), ranks, options)


def close_bound(socks: Iterable[Sock]) -> None:
    """Close bound sockets, and wait until their ports are free."""
    for sock in socks:
        close_server(sock, just_answered=False)


def close_connected(sock: Sock) -> None:
    """Close a socket that connects, and wait until its connection has ended, as it has with a process that ends: libzmq closes
    on a thread of its own, and a subscriber would meet the next life beside the one before."""
    monitor = monitor_socket(sock, zmq.EVENT_MONITOR_STOPPED)
    sock.close()
    monitor.poll(GONE_MS)
    monitor.close()


def connect_ranks(kind: int, endpoint: str, ranks: int, **options: Any) -> list[Sock]:
    """Sockets that connect to the endpoint and the ports after it, where subscribers are bound."""
    places = [ports_on(endpoint, rank) for rank in range(ranks)]
    return [_connected(kind, place, options) for place in places]


def _somewhere(endpoint: str) -> str:
    return f"{endpoint.removesuffix(ANY_PORT)}:{FIRST_PORTS[randbelow(len(FIRST_PORTS))]}"


def _bind_row(kind: int, endpoint: str, ranks: int, options: dict[str, Any]) -> list[Sock]:
    """All of them or none."""
    places = [ports_on(endpoint, rank) for rank in range(ranks)]
    bound: list[Sock] = []
    try:
        for place in places:
            bound.append(server_socket(kind, place, INCOMING_BYTES, **options))
    except BaseException:
        close_bound(bound)
        raise
    return bound


def _connected(kind: int, endpoint: str, options: dict[str, Any]) -> Sock:
    sock = current_context().socket(kind)
    sock.linger = LINGER_MS
    for name, value in options.items():
        setattr(sock, name, value)
    try:
        sock.connect(endpoint)
    except zmq.ZMQError as exc:
        sock.close(linger=0)
        raise InvalidSetting(f"endpoint {endpoint!r}: {exc}; expected tcp://HOST:PORT or ipc://PATH") from exc
    return sock
