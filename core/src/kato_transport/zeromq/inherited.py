"""What a forked child does with its parent's servers: it lets go of their ports and connections.

If it held on to them, a port would stay in use, and no client would see the server hang up, for as long as any child lives:
longer, perhaps, than the parent. libzmq does not tell the descriptors it uses, so they are found by the address that they
are bound to; listeners and the connections they accepted have the same.
"""

from __future__ import annotations

import os
import socket
from weakref import WeakKeyDictionary

import zmq

from kato_transport import fork

Address = str | int
"""The path of a Unix socket, or a port."""

_DESCRIPTORS = "/dev/fd"


class Served:
    """The endpoints that this process serves at, each for as long as its socket is open."""

    def __init__(self) -> None:
        self._addresses: WeakKeyDictionary[zmq.Socket[bytes], Address] = WeakKeyDictionary()

    def add(self, sock: zmq.Socket[bytes], endpoint: str) -> None:
        scheme, _, rest = endpoint.partition("://")
        self._addresses[sock] = int(rest.rpartition(":")[2]) if scheme == "tcp" else rest
        fork.watch(self)

    def discard(self, sock: zmq.Socket[bytes]) -> None:
        self._addresses.pop(sock, None)

    def after_fork_in_child(self) -> None:
        """The descriptors stay taken, by the null device, as libzmq's objects know them by number."""
        addresses = set(self._addresses.values())
        self._addresses = WeakKeyDictionary()
        if addresses and os.path.isdir(_DESCRIPTORS):
            with open(os.devnull, "rb") as null:
                for descriptor in map(int, os.listdir(_DESCRIPTORS)):
                    if _address_of(descriptor) in addresses:
                        os.dup2(null.fileno(), descriptor)


def _address_of(descriptor: int) -> Address | None:
    """What a stream socket is bound to; None for everything else."""
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        if found.type != socket.SOCK_STREAM:
            return None
        name = found.getsockname()
        address: Address = name[1] if found.family in (socket.AF_INET, socket.AF_INET6) else name
        return address
    finally:
        found.detach()


served = Served()
