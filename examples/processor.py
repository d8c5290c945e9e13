"""Serve a processor of one's own: any object with KATO's method names, and no base class.

This one learns which symbol follows which.

Prints:

    observed: 2
    learned: MODEL|1
    predicted: ['b']
    asked in the words of old clients: [['a']]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import kato_transport as kt


class Successors:
    """KATO lets in one call at a time, so it needs no lock."""

    id = "successors"
    name = "Successors"

    def __init__(self) -> None:
        self.time = 0
        self._events: list[list[str]] = []
        self._followers: dict[str, list[str]] = {}

    def observe(self, observation: dict[str, Any]) -> Mapping[str, Any]:
        self.time += 1
        self._events.append(sorted(observation["strings"]))
        return {"unique_id": observation["unique_id"]}

    def learn(self) -> str:
        for now, then in zip(self._events, self._events[1:], strict=False):
            for symbol in now:
                self._followers[symbol] = then
        self._events.clear()
        return f"MODEL|{len(self._followers)}"

    def get_predictions(self, unique_id: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        last = self._events[-1] if self._events else []
        return [{"name": symbol, "future": [self._followers[symbol]]} for symbol in last if symbol in self._followers]

    def get_stm(self) -> Sequence[Sequence[str]]:
        return self._events

    def clear_stm(self) -> None:
        self._events.clear()


def observation(symbol: str, number: int) -> dict[str, Any]:
    return {"strings": [symbol], "vectors": [], "emotives": {}, "unique_id": str(number)}


def main() -> None:
    with (
        kt.serve(Successors(), "tcp://127.0.0.1:0", transport="improved") as server,
        kt.connect(server.endpoint, transport="improved") as client,
    ):
        answers = [client.call("observe", observation(symbol, n)) for n, symbol in enumerate("ab")]
        print("observed:", answers[-1]["interval"])
        print("learned:", client.call("learn")["model_name"])
        client.call("observe", observation("a", 3))
        (prediction,) = client.call("get_predictions")["predictions"]
        print("predicted:", prediction["future"][0])
        print("asked in the words of old clients:", client.call("get_working_memory")["working_memory"])


if __name__ == "__main__":
    main()
