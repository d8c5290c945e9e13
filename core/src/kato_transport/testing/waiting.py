"""How the kit waits: always with a bound, never by sleeping for a while and hoping.

`at_most` bounds a block even where it hangs: a watching thread sends the main thread a signal, whose handler fails the
test, so the traceback shows the line that hung. Away from the main thread, or without signals, a block that ends too late
fails just the same, but one that hangs is left to whatever bounds the test run.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import pytest

T = TypeVar("T")

SOON_S: Final = 0.1
"""Time for a call that is meant to run out of it."""
LONG_S: Final = 10.0
"""Time for a call that is meant to be answered."""
GRACE_S: Final = 3.0
"""What a loaded machine may add to something that should be immediate."""
TEST_S: Final = 30.0
"""No test of the kit takes longer."""

_POLL_S = 0.002
_alarms: list[_Alarm] = []


class _Alarm:
    """Interrupts the main thread once its time has passed, unless it was called off before."""

    def __init__(self, limit_s: float) -> None:
        self.rang = False
        self._limit_s = limit_s
        self._called_off = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="kato-testing-alarm", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def call_off(self) -> None:
        self._called_off.set()
        self._thread.join()

    def _watch(self) -> None:
        if not self._called_off.wait(self._limit_s):
            self.rang = True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)


@contextmanager
def at_most(limit_s: float, what: str) -> Iterator[None]:
    """Fail a block that takes longer; `what` ends the sentence "… did not end within …"."""
    interrupts = hasattr(signal, "pthread_kill") and threading.current_thread() is threading.main_thread()
    started = time.monotonic()
    with _interrupted(limit_s, what) if interrupts else _unwatched():
        yield
    took_s = time.monotonic() - started
    if took_s > limit_s:
        pytest.fail(f"{what} took {took_s:.2f} s, more than {limit_s:g} s")


@contextmanager
def _interrupted(limit_s: float, what: str) -> Iterator[None]:
    def ring(signum: int, frame: Any) -> None:
        if alarm in _alarms and alarm.rang:
            raise pytest.fail.Exception(f"{what} did not end within {limit_s:g} s")
        if callable(outer):
            outer(signum, frame)

    alarm = _Alarm(limit_s)
    outer = signal.signal(signal.SIGUSR2, ring)
    _alarms.append(alarm)
    alarm.start()
    try:
        yield
    finally:
        _alarms.remove(alarm)  # first, so that an alarm that rings from here on is no longer heard
        alarm.call_off()
        signal.signal(signal.SIGUSR2, outer)


@contextmanager
def _unwatched() -> Iterator[None]:
    yield


def comes_true(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait until the condition holds; False where it does not in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def until(condition: Callable[[], bool], what: str, limit_s: float = LONG_S) -> None:
    """Wait until the condition holds; fail with "… within …" where it does not."""
    if not comes_true(condition, limit_s):
        pytest.fail(f"{what} within {limit_s:g} s")


def background(function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
    """Run a function beside the test, on a thread that a hang cannot make anybody wait for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as exc:
            future.set_exception(exc)

    threading.Thread(target=run, name="kato-testing-background", daemon=True).start()
    return future


def outcome(future: Future[Any], what: str = "a call", limit_s: float = LONG_S) -> Any:
    """What a future came to, its exception included; fails where it is still under way."""
    if not comes_true(future.done, limit_s):
        pytest.fail(f"{what} did not end within {limit_s:g} s")
    return CancelledError() if future.cancelled() else future.exception() or future.result()


def outcomes(futures: Iterable[Future[Any]], what: str = "a call", limit_s: float = LONG_S) -> list[Any]:
    """What each of several futures came to, within one time for all."""
    deadline = time.monotonic() + limit_s
    return [outcome(future, what, deadline - time.monotonic()) for future in futures]
