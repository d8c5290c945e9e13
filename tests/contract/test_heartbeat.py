"""Heartbeats on the wire, and what is answered at once while something slow runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import zmq

import kato_transport as kt

from .conftest import Peer
from .doubles import ScriptedProcessor, observation
from .raw import NOW, RawClient

HEARTBEAT: dict[str, Any] = {"type": "heartbeat", "timestamp": 1755000000.5}
AT_ONCE_S = 3.0
"""Far less than the slow observation takes, and enough for a loaded machine."""


def test_a_heartbeat_is_answered_as_one(peer: Peer) -> None:
    """`status: ok`, sic, and `type`, which the original forgot."""
    peer.client.send(HEARTBEAT)
    assert peer.client.answer() == {"type": "heartbeat", "status": "ok", "timestamp": NOW}


@pytest.mark.parametrize("timestamp", [..., None, "now", 1], ids=["left out", "null", "text", "an integer"])
def test_a_heartbeat_is_one_whatever_its_timestamp(peer: Peer, timestamp: Any) -> None:
    """Only its type counts."""
    peer.client.send({"type": "heartbeat"} if timestamp is ... else {"type": "heartbeat", "timestamp": timestamp})
    assert peer.client.answer()["type"] == "heartbeat"


def test_a_heartbeat_is_answered_while_a_slow_observation_runs(
    improved: kt.RunningServer, processor: ScriptedProcessor, raw: Callable[[int, str], RawClient]
) -> None:
    """To the very client that waits for the observation."""
    client = raw(zmq.DEALER, improved.endpoint)
    client.send({"method": "observe", "params": observation("slow", "x"), "id": 1})
    assert processor.slow_started.wait(AT_ONCE_S)
    client.send(HEARTBEAT)
    assert client.answer(AT_ONCE_S)["type"] == "heartbeat"
    assert client.is_silent(0.05)
    processor.gate.set()
    assert client.answer()["unique_id"] == "slow"


def test_one_processors_calls_run_in_the_order_they_came(
    improved: kt.RunningServer, processor: ScriptedProcessor, raw: Callable[[int, str], RawClient]
) -> None:
    """What comes behind a slow observation waits for it, and then sees what it did."""
    client = raw(zmq.DEALER, improved.endpoint)
    client.send({"method": "observe", "params": observation("slow", "x"), "id": 1})
    client.send({"method": "get_stm", "id": 2})
    client.send({"method": "clear_stm", "id": 3})
    client.send({"method": "get_stm", "id": 4})
    assert processor.slow_started.wait(AT_ONCE_S)
    assert client.is_silent(0.05)
    processor.gate.set()
    answers = [client.answer() for _ in range(4)]
    assert [answer["request_id"] for answer in answers] == [1, 2, 3, 4]
    assert answers[1]["short_term_memory"] == [["c"], ["x"]]
    assert answers[3]["short_term_memory"] == []


def test_a_slow_processor_holds_up_no_other(raw: Callable[[int, str], RawClient], closing: ExitStack) -> None:
    """Each processor is a lane of its own."""
    slow, quick = ScriptedProcessor("slow", "Slow"), ScriptedProcessor("quick", "Quick")
    server = closing.enter_context(kt.serve([slow, quick], "tcp://127.0.0.1:0", transport="improved", drain_s=1.0))
    closing.callback(slow.gate.set)
    client = raw(zmq.DEALER, server.endpoint)
    client.send({"method": "observe", "params": observation("slow", "x"), "processor_id": "slow"})
    assert slow.slow_started.wait(AT_ONCE_S)
    answer = client.ask("observe", observation("u1", "y"), processor_id="quick")
    assert (answer["id"], answer["unique_id"]) == ("quick", "u1")
