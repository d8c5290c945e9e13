"""The shared event loop: there as long as somebody uses it, and gone with the last."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from kato_transport.background import BackgroundLoop

from .waiting import WAIT_S, threads_named, until

NAME = "kato-background"


async def here() -> int | None:
    return threading.get_ident()


def test_the_thread_starts_with_the_first_user_and_ends_with_the_last() -> None:
    """And starts again with the next."""
    loop = BackgroundLoop()
    for _ in range(2):
        assert threads_named(NAME) == []
        loop.acquire()
        loop.acquire()
        assert threads_named(NAME) == [NAME]
        loop.release()
        assert loop.run(here()).result(WAIT_S) != threading.get_ident()
        loop.release()
        assert threads_named(NAME) == []


def test_users_on_many_threads_share_one_loop() -> None:
    """Whenever they come and go."""
    loop = BackgroundLoop()
    met = threading.Barrier(8)

    def use(_: int) -> int | None:
        loop.acquire()
        met.wait(WAIT_S)
        ident = loop.run(here()).result(WAIT_S)
        met.wait(WAIT_S)
        loop.release()
        return ident

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(use, range(8)))) == 1
    assert threads_named(NAME) == []


def test_users_that_come_while_the_last_one_goes_are_served() -> None:
    """A hundred times over."""
    loop = BackgroundLoop()

    def use(_: int) -> bool:
        for _turn in range(25):
            loop.acquire()
            assert loop.run(asyncio.sleep(0, True)).result(WAIT_S)
            loop.release()
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(use, range(4)))
    until(lambda: threads_named(NAME) == [], "a thread was left")


def test_a_last_coroutine_is_waited_for() -> None:
    """Then the loop is let go of."""
    loop, done = BackgroundLoop(), []

    async def last() -> None:
        await asyncio.sleep(0)
        done.append(1)

    loop.acquire()
    loop.finish(last())
    assert done == [1]
    assert threads_named(NAME) == []


def test_a_last_coroutine_may_be_given_on_the_loop_itself() -> None:
    """As by the callback of a future: waiting there would wait for ever. The loop is closed all the same."""
    loop, done = BackgroundLoop(), threading.Event()
    used: list[asyncio.AbstractEventLoop] = []

    async def last() -> None:
        done.set()

    async def give() -> None:
        used.append(asyncio.get_running_loop())
        loop.finish(last())

    loop.acquire()
    loop.run(give()).result(WAIT_S)
    assert done.wait(WAIT_S)
    until(lambda: threads_named(NAME) == [], "the thread was left")
    try:
        assert used[0].is_closed()
    finally:
        used[0].close()
