"""Where a request of a service runs: `INLINE` on the server's I/O thread, for what is fast; `CONCURRENT` on any other, beside
others; any other word on a thread too, but one request of that word at a time, and in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from kato_transport.contracts import Service
from kato_transport.model import Request

INLINE: Final = "inline"
CONCURRENT: Final = ""

F = TypeVar("F", bound=Callable[..., Any])


def inline(function: F) -> F:
    """Mark a function as fast: it runs on the server's I/O thread, and nothing else is received meanwhile."""
    function.kato_inline = True  # type: ignore[attr-defined]
    return function


def lane_of(service: Service) -> Callable[[Request], str]:
    """How a service places its requests; a plain function is inline where it is marked so, else concurrent."""
    lane: Callable[[Request], str] | None = getattr(service, "lane", None)
    if lane is not None:
        return lane
    word = INLINE if getattr(service, "kato_inline", False) else CONCURRENT
    return lambda request: word
