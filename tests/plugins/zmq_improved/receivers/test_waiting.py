"""A receiver by itself: it looks when there is something to look for, whoever took notice of it."""

from __future__ import annotations

import queue
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from kato_transport_zmq_improved import receiving
from kato_transport_zmq_improved.hold import Hold
from kato_transport_zmq_improved.receiving import Receivers

from ..peers import WAIT_S

TICK_S = 600.0
"""No test lives to see one."""


class Site:
    """A descriptor with a receiver, how often that looked, and what it finds when it delivers."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.looks: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.news: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.interruptions: queue.SimpleQueue[Exception] = queue.SimpleQueue()
        self.hold = Hold()
        self.receivers = Receivers(self.ours.fileno(), self.hold, TICK_S, self.look, self.deliver)

    def look(self) -> None:
        with suppress(BlockingIOError):
            self.ours.recv(100)
        if not self.interruptions.empty():
            raise self.interruptions.get()

    def deliver(self) -> bool:
        news = not self.news.empty() and self.news.get()
        self.looks.put(None)
        return news

    def looked(self) -> bool:
        """Whether it looks once more, and delivers."""
        with suppress(queue.Empty):
            self.looks.get(timeout=WAIT_S)
            return True
        return False

    def close(self) -> None:
        self.receivers.end()
        self.hold.take()
        self.hold.retire()
        self.receivers.join(ended=True)
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(receiving, "RECEIVERS", 1)
    site = Site()
    site.receivers.start()
    assert site.looked()
    yield site
    site.close()


def by_the_descriptor(site: Site) -> None:
    site.theirs.send(b"1")


def by_another_thread(site: Site) -> None:
    site.receivers.tell()


@pytest.mark.parametrize("told", [by_the_descriptor, by_another_thread])
def test_it_looks_when_it_is_told(site: Site, told: Callable[[Site], None]) -> None:
    for _ in range(3):
        told(site)
        assert site.looked()


def test_it_looks_again_after_news_that_its_own_delivery_took_in(site: Site) -> None:
    """Nobody else would: the descriptor is silent about what a send has noticed."""
    site.news.put(True)
    by_another_thread(site)
    assert site.looked()
    assert site.looked()


def test_it_looks_again_where_it_was_interrupted(site: Site) -> None:
    """The descriptor may have told already of what it did not come to."""
    site.interruptions.put(MemoryError())
    by_the_descriptor(site)
    assert site.looked()
    assert site.interruptions.empty()
    assert site.looked()
