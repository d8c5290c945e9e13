"""One socket for each data-parallel rank, on ports that follow each other, as engines have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import zmq

from kato_transport.errors import BindFailed, InvalidSetting
from kato_transport.zeromq import bound_endpoint, close_server, current_context, server_socket
from kato_transport_kv_events.subscription.source import ports_on

ATTEMPTS: Final = 50
"""How often free ports in a row are looked for."""
INCOMING_BYTES: Final = 1024
"""Subscriptions and requests for a replay are smaller by far."""
LINGER_MS: Final = 500
"""What was published last leaves before the socket is gone."""
Sock = zmq.Socket[bytes]


def bind_ranks(kind: int, endpoint: str, ranks: int, **options: Any) -> list[Sock]:
    """Sockets bound to the endpoint and the ports after it; port 0 is the first of as many free ones in a row.

    Raises `BindFailed` or `InvalidSetting`.
    """
    ports_on(endpoint, ranks - 1)
    attempts = ATTEMPTS if endpoint.endswith(":0") else 1
    while True:
        attempts -= 1
        bound: list[Sock] = []
        try:
            for rank in range(ranks):
                after = ports_on(bound_endpoint(bound[0]), rank) if bound else endpoint
                bound.append(server_socket(kind, after, INCOMING_BYTES, **options))
        except (BindFailed, InvalidSetting) as exc:
            close_bound(bound)
            if not attempts or not isinstance(exc, BindFailed):
                raise
        else:
            return bound


def close_bound(socks: Iterable[Sock]) -> None:
    """Close bound sockets, and wait until their ports are free."""
    for sock in socks:
        close_server(sock, just_answered=False)


def connect_ranks(kind: int, endpoint: str, ranks: int, **options: Any) -> list[Sock]:
    """Sockets that connect to the endpoint and the ports after it, where subscribers are bound."""
    places = [ports_on(endpoint, rank) for rank in range(ranks)]
    return [_connected(kind, place, options) for place in places]


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
