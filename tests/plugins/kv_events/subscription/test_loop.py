"""The thread that waits for all sockets."""

from __future__ import annotations

import logging
import threading
import time
from uuid import uuid4

import pytest
import zmq

import kato_transport as kt
from kato_transport.testing.waiting import until
from kato_transport.zeromq import current_context
from kato_transport_kv_events.subscription.loop import Loop


@pytest.fixture
def loop():
    """One that has ended after the test."""
    made = Loop("kato-kv-test")
    yield made
    made.stop()


@pytest.fixture
def pair(closing):
    """Two sockets that are connected."""
    ends = [closing.enter_context(current_context().socket(zmq.PAIR)) for _ in range(2)]
    endpoint = f"inproc://{uuid4().hex}"  # a closed socket keeps its own for a moment
    ends[0].bind(endpoint)
    ends[1].connect(endpoint)
    return ends


def test_a_call_gives_what_its_function_gives_or_raises(loop):
    """On the loop's own thread, whoever calls."""
    assert loop.call(lambda: threading.current_thread().name) == "kato-kv-test"
    assert loop.call(lambda: loop.call(lambda: "within")) == "within"
    with pytest.raises(ZeroDivisionError):
        loop.call(lambda: 1 // 0)


def test_after_its_end_it_says_so():
    """Nobody waits for ever."""
    ended = Loop("kato-kv-test")
    ended.stop()
    with pytest.raises(kt.ClientClosed):
        ended.call(lambda: None)


def test_a_visitor_that_says_there_is_more_is_called_again(loop, pair):
    """After the others, without anything new to tell of."""
    read = []

    def visit(now):
        if pair[0].getsockopt(zmq.EVENTS) & zmq.POLLIN:
            read.append(pair[0].recv())
            return True
        return False

    loop.call(lambda: loop.watch(pair[0], visit))
    for number in range(100):
        pair[1].send(str(number).encode())
    until(lambda: len(read) == 100, "not everything was read")
    loop.call(lambda: loop.forget(pair[0], visit))


def test_a_visitor_that_fails_takes_nobody_with_it(loop, pair, caplog):
    """It is logged, and the loop goes on."""

    def fail(now):
        raise RuntimeError("this visitor always fails")

    with caplog.at_level(logging.ERROR, "kato_transport.kv_events"):
        loop.call(lambda: loop.watch(pair[0], fail))
        until(lambda: "this visitor always fails" in caplog.text, "the failure was not logged")
    assert loop.call(lambda: "alive") == "alive"
    loop.call(lambda: loop.forget(pair[0], fail))


def test_times_are_kept_in_their_order(loop):
    """Also where they are set in another."""
    kept = []
    now = time.monotonic()

    def set_times():
        for number in (3, 1, 2):
            loop.at(now + number * 0.02, lambda at, number=number: kept.append(number))

    loop.call(set_times)
    until(lambda: len(kept) == 3, "not all times were kept")
    assert kept == [1, 2, 3]
    assert time.monotonic() - now >= 0.06
