"""Signals to a forked child: its handlers are its parent's, and whatever they close, they close for the child only."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

import kato_transport as kt
from kato_transport.testing.sections.forking import in_child
from kato_transport.testing.waiting import background, outcome

from ..faults.conftest import Running
from .conftest import WAIT_S, Pair, use

Handler = Callable[[int, FrameType | None], None]


@pytest.fixture
def on_sigterm() -> Iterator[Callable[[Handler], None]]:
    """Sets a handler of SIGTERM, for this test only."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda handler: signal.signal(signal.SIGTERM, handler) and None
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def closing_handler(pair: Pair, on_sigterm: Callable[[Handler], None]) -> list[int]:
    """The handler that many programs have: close everything. Lists the signals that this process was sent."""
    seen: list[int] = []

    def close_everything(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        pair.client.close()
        pair.server.close()

    on_sigterm(close_everything)
    return seen


def test_a_handler_that_closes_everything_closes_nothing_of_the_parent(pair: Pair, closing_handler: list[int]) -> None:
    """The parent goes on calling and serving."""

    def be_told_to_stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(kt.ClientClosed):
            pair.client.call("echo", {"value": 1})

    for _ in range(3):
        assert in_child(be_told_to_stop) == "fine"
    assert closing_handler == []
    use(pair.client)


@pytest.mark.parametrize("pair", ["improved"], indirect=True)
def test_a_child_that_is_told_to_stop_in_the_middle_of_a_call_ends_its_own_only(pair: Pair, closing_handler: list[int]) -> None:
    """The same call of the parent, through the same client, is answered."""

    def be_told_to_stop() -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(kt.ClientClosed):
            pair.client.call("hold")

    held = background(pair.client.call, "hold")
    assert pair.holding.wait(WAIT_S)
    assert in_child(be_told_to_stop) == "fine"
    assert not held.done()
    pair.gate.set()
    assert outcome(held) == {"status": "okay", "held": True}
    assert closing_handler == []


def test_a_child_that_is_killed_in_the_middle_of_a_call_takes_nothing_along(pair: Pair) -> None:
    """It closes nothing, and nobody hears of it but by the connection."""

    def be_killed() -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGKILL)).start()
        pair.client.call("hold")

    assert "ended without a word, status 9" in in_child(be_killed)
    pair.gate.set()
    use(pair.client)


def test_ctrl_c_reaches_parent_and_child_and_only_the_parent_shuts_down() -> None:
    """A terminal sends it to the whole group; the server drains once, and ends well."""
    command = str(Path(sys.executable).with_name("kato-transport"))
    arguments = ("serve", "--no-rest", "--processor", "forking_engine:Engine")
    serving = Running(command, *arguments, ZMQ_PORT="0")
    try:
        with kt.connect(serving.ready["zmq"], timeout_s=2 * WAIT_S) as client:
            client.call("get_gene", {"gene_name": "child"})
        os.killpg(serving.process.pid, signal.SIGINT)
        _, log = serving.process.communicate(timeout=20)
    finally:
        serving.close()
    assert serving.process.returncode == 0, log
    assert log.count("draining") == 1
    assert "Traceback" not in log
