"""Old improved clients, old REQ clients and new clients on one improved port, at the same time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import zmq

import kato_transport as kt

from .doubles import WAIT_S, ScriptedProcessor, observation
from .raw import RawClient

CALLS = 60


def old_improved(client: RawClient, name: str, start: threading.Barrier) -> list[str]:
    start.wait(WAIT_S)
    seen = []
    for turn in range(CALLS):
        answer = client.ask("observe", observation(f"{name}{turn}", "x"), id=turn)
        assert answer["request_id"] == turn
        assert "short_term_memory" in client.ask("get_stm")
        seen.append(answer["unique_id"])
    return seen


def old_basic(client: RawClient, name: str, start: threading.Barrier) -> list[str]:
    start.wait(WAIT_S)
    seen = []
    for turn in range(CALLS):
        seen.append(client.ask("observe", observation(f"{name}{turn}", "x"))["unique_id"])
        assert "data" in client.ask("get_stm")
    return seen


def new(client: kt.Client, name: str, start: threading.Barrier) -> list[str]:
    start.wait(WAIT_S)
    seen = []
    for turn in range(CALLS):
        seen.append(client.call("observe", observation(f"{name}{turn}", "x"))["unique_id"])
        assert "short_term_memory" in client.call("get_stm")
    return seen


def new_async(endpoint: str, name: str, start: threading.Barrier) -> list[str]:
    async def run() -> list[str]:
        async with kt.aconnect(endpoint, transport="improved", timeout_s=WAIT_S) as client:
            calls = [client.call("observe", observation(f"{name}{turn}", "x")) for turn in range(CALLS)]
            return [answer["unique_id"] for answer in await asyncio.gather(*calls)]

    start.wait(WAIT_S)
    return asyncio.run(run())


def test_clients_of_every_age_share_one_port(
    improved: kt.RunningServer, processor: ScriptedProcessor, raw: Callable[[int, str], RawClient]
) -> None:
    """Each gets its own answers in its own column, and nothing gets lost or run twice."""
    dealer, req = raw(zmq.DEALER, improved.endpoint), raw(zmq.REQ, improved.endpoint)
    with kt.connect(improved.endpoint, transport="improved", timeout_s=WAIT_S) as client, ThreadPoolExecutor(4) as threads:
        start = threading.Barrier(4)
        running = {
            "d": threads.submit(old_improved, dealer, "d", start),
            "r": threads.submit(old_basic, req, "r", start),
            "n": threads.submit(new, client, "n", start),
            "a": threads.submit(new_async, improved.endpoint, "a", start),
        }
        for name, future in running.items():
            assert future.result(4 * WAIT_S) == [f"{name}{turn}" for turn in range(CALLS)]
    assert processor.time == 2 + 4 * CALLS
    assert len(set(processor.observed)) == len(processor.observed)


def test_a_new_client_speaks_to_the_very_server_that_an_old_one_does(
    improved: kt.RunningServer, raw: Callable[[int, str], RawClient]
) -> None:
    """What one does, the others see."""
    dealer, req = raw(zmq.DEALER, improved.endpoint), raw(zmq.REQ, improved.endpoint)
    with (
        kt.connect(improved.endpoint, transport="improved") as client,
        kt.connect(improved.endpoint, transport="basic") as basic,
    ):
        client.call("observe", observation("u1", "x"))
        assert dealer.ask("get_wm")["working_memory"] == [["c"], ["x"]]
        req.ask("clear_wm")
        assert client.call("get_stm")["short_term_memory"] == []
        assert basic.call("get_stm")["data"] == []
