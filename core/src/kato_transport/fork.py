"""What has to happen in a child process after a fork.

ZeroMQ sockets, threads and held locks do not survive one: a child that touches them hangs. Whoever owns such things
registers with `watch`; in the child, its `after_fork_in_child` then replaces them, keeping the parent's objects
referenced and unused, since even collecting them would touch the parent's sockets.
"""

from __future__ import annotations

import logging
import os
import weakref
from typing import Any, Protocol

log = logging.getLogger("kato_transport.fork")


class ForkAware(Protocol):
    def after_fork_in_child(self) -> None:
        """Replace what a fork broke; runs in the child, which has this one thread only."""


_watched: weakref.WeakSet[Any] = weakref.WeakSet()
_parents_objects: list[Any] = []
_registered = False


def watch(owner: ForkAware) -> None:
    """Have `owner.after_fork_in_child()` called in every child, for as long as it lives."""
    global _registered  # registered at the first use, as nothing may happen at import
    if not _registered:
        _registered = True
        os.register_at_fork(after_in_child=_after_fork_in_child)
    _watched.add(owner)


def abandon(parents: Any) -> None:
    """Keep an object of the parent from being collected in the child."""
    _parents_objects.append(parents)


def _after_fork_in_child() -> None:
    for owner in list(_watched):
        try:
            owner.after_fork_in_child()
        except Exception:  # the others have to be mended all the same
            log.exception("%r could not be mended after a fork", owner)
