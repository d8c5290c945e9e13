"""Threads that meet, for parts that several threads use."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

THREADS = 4
MEET_S = 30.0


def give_way(frame: FrameType, event: str, arg: Any) -> Any:
    """A trace function: lets another thread go on between any two instructions of the parts under test.

    Python by itself changes threads so seldom that a missing lock would hardly ever be noticed.
    """
    if not frame.f_globals["__name__"].startswith("kato_transport.protocol"):
        return None
    frame.f_trace_opcodes = True
    time.sleep(0)
    return give_way


@pytest.fixture
def at_once() -> Callable[[Callable[[int], T]], list[T]]:
    """Calls a function in four threads, all let go at one moment, which give way to each other all the time."""

    def run(function: Callable[[int], T]) -> list[T]:
        gate = threading.Barrier(THREADS)

        def member(number: int) -> T:
            gate.wait(MEET_S)
            sys.settrace(give_way)
            try:
                return function(number)
            finally:
                sys.settrace(None)

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(member, range(THREADS)))

    return run
