"""Many calls in one message, over every transport and through the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

import kato_transport as kt

from .conftest import Way

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("double", {"n": 1}),
    ("halve", {"n": 1}),
    ("double", {}),
    ("double", {"n": 4}),
    ("ping", {}),
]


class Memory:
    """A processor that remembers what it observed."""

    name = "Memory"
    time = 0

    def __init__(self, processor_id: str) -> None:
        self.id = processor_id
        self.seen: list[str] = []

    def observe(self, observation: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(observation["unique_id"])
        return {}

    def learn(self) -> str:
        return ""

    def get_predictions(self, unique_id: Any) -> list[Any]:
        return []

    def get_stm(self) -> list[list[str]]:
        return [[unique_id] for unique_id in self.seen]


def double(n: int) -> dict[str, Any]:
    return {"doubled": 2 * n}


def checked(items: list[dict[str, Any] | kt.TransportError]) -> None:
    """Those of `CALLS`."""
    first, second, third, fourth, fifth = items
    assert (first, fourth) == ({"status": "okay", "doubled": 2}, {"status": "okay", "doubled": 8})
    assert isinstance(second, kt.RemoteError)
    assert (second.method, second.code) == ("halve", "unknown_method")
    assert isinstance(third, kt.RemoteError)
    assert third.code == "invalid_params"
    assert isinstance(fifth, dict)
    assert fifth["message"] == "pong"


def test_answers_come_in_order_with_errors_as_items(way: str, serve: Callable[..., Way]) -> None:
    """As `call_many` has them."""
    with serve(way, {"double": double}).connect() as client:
        assert "batch" in client.call("ping")["features"]
        checked(client.batch(CALLS))
        checked(client.call_many(CALLS))
        assert client.batch([]) == []


def test_the_asynchronous_client_has_batches_too(way: str, serve: Callable[..., Way]) -> None:
    """Several of them at once."""
    served = serve(way, {"double": double})

    async def run() -> None:
        async with served.aconnect() as client:
            for items in await asyncio.gather(*[client.batch(CALLS) for _ in range(5)]):
                checked(items)

    asyncio.run(run())


def test_a_processors_calls_run_in_order_and_once(way: str, serve: Callable[..., Way]) -> None:
    """Three hundred of them, to the processor that is meant."""
    first, second = Memory("p1"), Memory("p2")
    served = serve(way, [first, second])
    names = [f"{number}" for number in range(300)]
    with served.connect() as client:
        observations = [{"strings": [], "vectors": [], "emotives": {}, "unique_id": name} for name in names]
        items = client.batch([("observe", observation) for observation in observations], processor_id="p2")
        assert [item["unique_id"] for item in items if isinstance(item, dict)] == names
        assert client.batch([("get_stm", {})])[0] == client.call("get_stm")
    assert (first.seen, second.seen) == ([], names)


def test_a_thousand_calls_are_a_batch_and_more_are_not(way: str, serve: Callable[..., Way]) -> None:
    """The server says so before it runs any."""
    ran: list[int] = []
    with serve(way, {"note": lambda n: ran.append(n) or {"n": n}}).connect() as client:
        items = client.batch([("note", {"n": n}) for n in range(1000)])
        assert [item["n"] for item in items if isinstance(item, dict)] == list(range(1000))
        with pytest.raises(kt.RemoteError, match="at most 1000 calls") as raised:
            client.batch([("note", {"n": n}) for n in range(1001)])
    assert raised.value.code == "invalid_params"
    assert sorted(ran) == list(range(1000))


@pytest.mark.parametrize("way", ["memory", "basic", "improved"])
def test_an_answer_that_is_too_large_together_says_so(way: str, serve: Callable[..., Way]) -> None:
    """Each would have done by itself."""
    with serve(way, {"big": lambda: {"value": "x" * 400}}, max_message_bytes=2000).connect() as client:
        assert client.call("big")["value"] == "x" * 400
        with pytest.raises(kt.RemoteError) as raised:
            client.batch([("big", {})] * 10)
    assert raised.value.code == "too_large"


def test_what_cannot_be_sent_is_raised_before_anything_is(way: str, serve: Callable[..., Way]) -> None:
    """It is the caller's mistake, and no item's."""
    with serve(way, {"double": double}).connect() as client, pytest.raises(kt.LocalProtocolError):
        client.batch([("double", {"n": object()})])


def test_a_closed_client_sends_none(way: str, serve: Callable[..., Way], closing: ExitStack) -> None:
    """As it makes no calls."""
    client = closing.enter_context(serve(way, {"double": double}).connect())
    client.close()
    with pytest.raises(kt.ClientClosed):
        client.batch(CALLS)
