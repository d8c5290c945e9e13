"""Large bytes sent from where they are, without being copied for libzmq.

pyzmq keeps them alive until libzmq is done with them; for that it has a thread of its own, which it starts at the first of
them and ends with the process.
"""

from __future__ import annotations

import threading

import zmq

from kato_transport import fork


class _Keeper:
    """Of what pyzmq keeps alive: in a forked child its lock may be held by a thread that is not there."""

    def after_fork_in_child(self) -> None:
        from zmq.utils.garbage import gc

        fork.abandon((gc._context, gc._push, gc.thread, gc.refs))
        gc._lock = threading.Lock()


_keeper = _Keeper()


def uncopied(data: bytes) -> bytes | zmq.Frame:
    """What to hand to a socket in place of large bytes; a frame's `tracker` tells when libzmq is done with it."""
    fork.watch(_keeper)
    try:
        return zmq.Frame(data, track=True, copy=False)
    except zmq.ZMQError:  # no descriptors are left for pyzmq's thread
        return data
