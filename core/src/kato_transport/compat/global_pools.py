"""The process's own pools: made at the first call, at `ZMQ_PORT` of this host, unless one was set before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from kato_transport import fork
from kato_transport.compat.environment import ZMQ_PORT, chosen_zmq_port
from kato_transport.compat.improved_pool import ImprovedConnectionPool
from kato_transport.compat.thread_pool import ZMQConnectionPool

P = TypeVar("P")


class _Holder(Generic[P]):
    """One pool for all threads."""

    def __init__(self, make: Callable[[], P]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._pool: P | None = None

    def get(self) -> P:
        fork.watch(self)  # before the lock is taken: a fork meanwhile must find it
        with self._lock:
            if self._pool is None:
                self._pool = self._make()
            return self._pool

    def exchange(self, pool: P | None) -> P | None:
        """Hold another pool, or none; gives the one held before."""
        fork.watch(self)
        with self._lock:
            before, self._pool = self._pool, pool
            return before

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()


_global: _Holder[ZMQConnectionPool] = _Holder(lambda: ZMQConnectionPool(port=chosen_zmq_port(ZMQ_PORT)))
_improved: _Holder[ImprovedConnectionPool] = _Holder(lambda: ImprovedConnectionPool(port=chosen_zmq_port(ZMQ_PORT)))


def get_global_pool() -> ZMQConnectionPool:
    """The pool with a client per thread."""
    return _global.get()


def set_global_pool(pool: ZMQConnectionPool) -> None:
    """Take this pool from now on; the one before is left to whoever made it."""
    _global.exchange(pool)


def cleanup_global_pool() -> None:
    """Shut the pool down; the next `get_global_pool` makes another."""
    pool = _global.exchange(None)
    if pool is not None:
        pool.shutdown()


def get_improved_pool() -> ImprovedConnectionPool:
    """The pool that lends connections."""
    return _improved.get()


def set_improved_pool(pool: ImprovedConnectionPool) -> None:
    """Take this pool from now on; the one before is shut down."""
    before = _improved.exchange(pool)
    if before is not None and before is not pool:
        before.shutdown()


def cleanup_improved_pool() -> None:
    """Shut the pool down; the next `get_improved_pool` makes another."""
    pool = _improved.exchange(None)
    if pool is not None:
        pool.shutdown()
