"""Endpoints, the paths behind them, and the socket file there.

A path is in use as long as somebody accepts connections on it. A server that was killed leaves its file behind, which
keeps everybody from binding, so it is replaced; a server that lives, or a file that is no socket, never is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from kato_transport import BindFailed, InvalidSetting

SCHEME = "unix://"
MAX_PATH_BYTES = 107
"""What Linux takes as a socket's path."""


def socket_path(endpoint: str) -> str:
    """The path in an endpoint; `InvalidSetting` says what an endpoint looks like."""
    path = endpoint.removeprefix(SCHEME)
    if path == endpoint or not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise InvalidSetting(f"endpoint {endpoint!r}: the unix transport reads {SCHEME}/absolute/path/of/a/socket")
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise InvalidSetting(f"endpoint {endpoint!r}: the path of a socket has at most {MAX_PATH_BYTES} bytes")
    return path


def listen(path: str) -> socket.socket:
    """A socket that listens at the path; `BindFailed` where the path cannot be had."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        _remove_stale(path)
        listener.bind(path)
        listener.listen(socket.SOMAXCONN)
    except OSError as exc:
        listener.close()
        raise BindFailed(f"cannot serve at {SCHEME}{path}: {exc.strerror}") from exc
    return listener


def inode(path: str) -> int:
    """What tells a socket file from a later one at the same path."""
    with suppress(OSError):
        return os.stat(path).st_ino
    return -1


def remove(path: str, own_inode: int) -> None:
    """Remove a server's socket file, unless another server has replaced it by its own."""
    if inode(path) == own_inode:
        with suppress(FileNotFoundError):
            os.unlink(path)


def disown(descriptors: Iterable[int]) -> None:
    """Let go of the parent's sockets in a forked child: a connection lives until every process has closed its end.

    The objects around the descriptors must not be touched here, as the event loop that they belong to is the parent's.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (descriptor for descriptor in descriptors if descriptor >= 0):  # one that is closed is -1
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


def _remove_stale(path: str) -> None:
    """Remove a socket file that nobody listens on; what else may be there makes `bind` fail."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
