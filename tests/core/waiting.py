"""Waiting for a condition, always with a bound."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

WAIT_S = 5.0
"""What anything in these tests may take at most before it counts as not happening."""


def until(condition: Callable[[], Any], what: str, limit_s: float = WAIT_S) -> None:
    """Wait until the condition holds; fail with `what` where it does not in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def threads_named(prefix: str) -> list[str]:
    """The threads of this process whose name begins so."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)]
