"""A socket that listens where an endpoint says, or the reason why there is none."""

from __future__ import annotations

import errno
import socket

from kato_transport.endpoints import http_address
from kato_transport.errors import BindFailed

BACKLOG = 2048

_REASONS = {
    errno.EADDRINUSE: "another program has that port; choose another one, or 0 for any that is free",
    errno.EACCES: "this user may not take that port; choose one above 1023",
    errno.EADDRNOTAVAIL: "that is no address of this host",
}


def listening(endpoint: str) -> socket.socket:
    """A socket bound to the endpoint and listening; `BindFailed` says why there is none."""
    host, port = http_address(endpoint)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise BindFailed(f"cannot serve {endpoint}: {exc.strerror or exc}") from exc
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        reason = _REASONS.get(exc.errno or 0, exc.strerror or str(exc))
        raise BindFailed(f"cannot serve {endpoint}: {reason}") from exc
    return listener
