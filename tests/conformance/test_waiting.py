"""The kit's waits end: in what was waited for, or in a failure that says what was not."""

import threading
import time

import pytest

from kato_transport.testing.waiting import at_most, background, comes_true, outcome, until

Failed = pytest.fail.Exception


def test_a_block_that_ends_in_time_is_left_alone():
    """And what it raises goes through."""
    with at_most(5.0, "this"):
        pass
    with pytest.raises(ValueError, match="mine"), at_most(5.0, "this"):
        raise ValueError("mine")


@pytest.mark.parametrize("hang", [threading.Event().wait, threading.Lock, background], ids=["event", "lock", "future"])
def test_a_block_that_hangs_is_interrupted(hang):
    """Whatever it waits for."""
    if hang is threading.Lock:
        lock = threading.Lock()
        lock.acquire()
        hang = lock.acquire
    elif hang is background:
        hang = background(time.sleep, 10.0).result
    started = time.monotonic()
    with pytest.raises(Failed, match=r"this did not end within 0\.05 s"), at_most(0.05, "this"):
        hang()
    assert time.monotonic() - started < 5.0


def test_the_inner_of_two_bounds_is_told_from_the_outer():
    """Each speaks for itself."""
    with pytest.raises(Failed, match="inner"), at_most(5.0, "outer"), at_most(0.05, "inner"):
        threading.Event().wait()
    with pytest.raises(Failed, match="outer"), at_most(0.05, "outer"), at_most(5.0, "inner"):
        threading.Event().wait()


def test_away_from_the_main_thread_a_late_end_is_a_failure():
    """Nothing is interrupted there."""

    def late():
        with at_most(0.01, "this"):
            time.sleep(0.03)

    assert isinstance(outcome(background(late)), Failed)


def test_a_condition_is_waited_for_no_longer_than_told():
    """And the failure says what did not happen."""
    assert not comes_true(lambda: False, 0.01)
    with pytest.raises(Failed, match=r"the sun did not rise within 0\.01 s"):
        until(lambda: False, "the sun did not rise", 0.01)


def test_an_outcome_is_a_result_or_an_exception():
    """Never a hang."""
    assert outcome(background(lambda: 1)) == 1
    assert isinstance(outcome(background(lambda: 1 / 0)), ZeroDivisionError)
    with pytest.raises(Failed, match=r"a call did not end within 0\.01 s"):
        outcome(background(time.sleep, 0.5), limit_s=0.01)
