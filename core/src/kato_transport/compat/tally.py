"""Requests counted by how they ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kato_transport import fork


class Tally:
    """Counts requests from any thread; one still under way is in no figure."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._successful = 0
        self._failed = 0
        fork.watch(self)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the block as one request: failed where it raises."""
        try:
            yield
        except BaseException:
            with self._lock:
                self._failed += 1
            raise
        with self._lock:
            self._successful += 1

    def figures(self) -> dict[str, Any]:
        """The figures by KATO's names; a rate is 0.0 as long as nothing was asked."""
        with self._lock:
            successful, failed = self._successful, self._failed
        total = successful + failed
        return {
            "total_requests": total,
            "successful_requests": successful,
            "failed_requests": failed,
            "success_rate": rate(successful, total),
        }

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()


def rate(part: int, total: int) -> float:
    """A share of requests; 0.0 of none."""
    return part / total if total else 0.0
