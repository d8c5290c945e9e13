"""One ZeroMQ context per process, and a new one in a forked child: a socket on an inherited context never connects."""

from __future__ import annotations

import threading

import zmq

from kato_transport import fork

MAX_SOCKETS = 16_384
"""libzmq's own default of 1,023 is reached by a few hundred clients of one process."""


class _Holder:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None

    def get(self) -> zmq.Context[zmq.Socket[bytes]]:
        if self._context is None:
            fork.watch(self)  # before the lock is taken: a fork meanwhile must find it
        with self._lock:
            if self._context is None:
                self._context = zmq.Context()
                self._context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
            return self._context

    def after_fork_in_child(self) -> None:
        fork.abandon(self._context)
        self._lock = threading.Lock()
        self._context = None


_holder = _Holder()


def current_context() -> zmq.Context[zmq.Socket[bytes]]:
    """This process's context, made at the first call."""
    return _holder.get()
