"""Callbacks at points in time, from one thread that is there only as long as it is needed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from kato_transport.deadlines import Deadlines
from kato_transport.testing.sections.forking import in_child

from .waiting import WAIT_S, threads_named, until

NAME = "kato-test-deadlines"


@pytest.fixture
def deadlines() -> Iterator[Deadlines]:
    """Closed at the end."""
    made = Deadlines(NAME)
    yield made
    made.close()


def test_callbacks_come_in_the_order_of_their_times(deadlines: Deadlines) -> None:
    """Whatever the order they were added in."""
    seen: list[int] = []
    now = time.monotonic()
    for number in (3, 1, 2, 0):
        deadlines.add(now + 0.02 * number, lambda number=number: seen.append(number))  # type: ignore[misc]
    until(lambda: len(seen) == 4, "a callback did not come")
    assert seen == [0, 1, 2, 3]


def test_none_comes_before_its_time(deadlines: Deadlines) -> None:
    """Nor much after it."""
    came: list[float] = []
    due = time.monotonic() + 0.05
    deadlines.add(due, lambda: came.append(time.monotonic()))
    until(lambda: bool(came), "the callback did not come")
    assert 0 <= came[0] - due < WAIT_S / 2


def test_an_earlier_one_overtakes_one_that_is_waited_for(deadlines: Deadlines) -> None:
    """The thread wakes for it."""
    early = threading.Event()
    deadlines.add(time.monotonic() + 60, lambda: None)
    deadlines.add(time.monotonic() + 0.01, early.set)
    assert early.wait(WAIT_S)


def test_what_is_due_already_comes_at_once(deadlines: Deadlines) -> None:
    """Times in the past included."""
    came = threading.Event()
    deadlines.add(time.monotonic() - 1, came.set)
    assert came.wait(WAIT_S)


def test_a_callback_may_add_another(deadlines: Deadlines) -> None:
    """Or close everything."""
    came = threading.Event()
    deadlines.add(time.monotonic(), lambda: deadlines.add(time.monotonic(), came.set))
    assert came.wait(WAIT_S)
    deadlines.add(time.monotonic(), deadlines.close)
    until(lambda: threads_named(NAME) == [], "the thread was left")


def test_the_thread_starts_with_the_first_and_ends_with_the_close(deadlines: Deadlines) -> None:
    """What was still to come, comes no more."""
    assert threads_named(NAME) == []
    came: list[int] = []
    deadlines.add(time.monotonic() + 60, lambda: came.append(1))
    assert threads_named(NAME) == [NAME]
    deadlines.close()
    deadlines.close()
    assert threads_named(NAME) == []
    deadlines.add(time.monotonic(), lambda: came.append(2))
    assert threads_named(NAME) == []
    assert came == []


def test_what_is_cancelled_is_not_called_and_not_kept() -> None:
    """Answered calls leave nothing behind, however long their time was."""
    deadlines, called = Deadlines("cancelling"), []
    try:
        for _ in range(1000):
            deadlines.add(time.monotonic() + 3600, lambda: called.append(1))()
        assert len(deadlines._heap) < 200
        assert called == []
    finally:
        deadlines.close()


def test_a_forked_child_calls_its_own_back_and_none_of_its_parents(deadlines: Deadlines) -> None:
    """With a thread of its own, which its close ends; the parent's callbacks come to the parent only."""
    pid, came = os.getpid(), []
    due = time.monotonic() + 0.3
    deadlines.add(due, lambda: came.append(os.getpid()))

    def add_another() -> None:
        own = threading.Event()
        deadlines.add(due + 0.1, own.set)  # after the parent's, so that this would have come before
        assert threads_named(NAME) == [NAME]
        assert own.wait(WAIT_S)
        assert came == []
        deadlines.close()
        assert threads_named(NAME) == []

    assert in_child(add_another) == "fine"
    until(lambda: came == [pid], "the parent's callback did not come")


def test_a_child_forked_while_callbacks_come_and_go_is_held_up_by_none(deadlines: Deadlines) -> None:
    """Whatever lock was held at that moment, by a thread that the child does not have."""
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            deadlines.add(time.monotonic() + 60, int)()

    def add_one() -> None:
        came = threading.Event()
        deadlines.add(time.monotonic(), came.set)
        assert came.wait(WAIT_S)

    threads = [threading.Thread(target=churn) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [in_child(add_one) for _ in range(10)] == ["fine"] * 10
    finally:
        stop.set()
        for thread in threads:
            thread.join(WAIT_S)


def test_cancelling_in_a_child_what_was_its_parents_cancels_nothing_of_its_own(deadlines: Deadlines) -> None:
    """Nor the parent's, in the parent."""
    came: list[int] = []
    cancel = deadlines.add(time.monotonic() + 0.3, lambda: came.append(1))

    def add_and_cancel() -> None:
        deadlines.add(time.monotonic() + 0.1, lambda: came.append(2))
        cancel()
        until(lambda: came == [2], "the child's callback did not come")

    assert in_child(add_and_cancel) == "fine"
    until(lambda: came == [1], "the parent's callback did not come")


def test_a_closed_one_takes_nothing() -> None:
    """Neither a callback nor a thread."""
    deadlines = Deadlines("closed")
    deadlines.close()
    deadlines.add(0.0, lambda: None)
    assert deadlines._callbacks == {}
