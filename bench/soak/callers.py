"""The ways to call: a client of each kind, that can be closed and opened anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from attrs import Factory, frozen

import kato_transport as kt
from bench.soak.calls import Call, Outcome
from kato_transport.compat import ImprovedZMQClient

TIMEOUT_S: Final = 4.0
AT_ONCE: Final = 16


@frozen
class Group:
    """Clients of one kind: `askers` of them share one client."""

    name: str
    memory: str
    """The server that observes what they do; empty: they only read."""
    how: str
    """`call`, `call_many`, `compat` in threads, `acall` in tasks."""
    endpoints: tuple[str, ...]
    askers: int
    transport: str = "improved"
    options: Mapping[str, Any] = Factory(dict)

    @property
    def at_once(self) -> int:
        return AT_ONCE if self.how == "call_many" else 1


class Handle(ABC):
    """A client that can be closed and opened anew."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.timeout_s: float = group.options.get("timeout_s", TIMEOUT_S)
        self._earlier_reconnections = 0
        self._client = self._opened()

    def reconnections(self) -> int:
        """Of all its clients."""
        return self._earlier_reconnections + self._reconnections_now()

    def reopen(self) -> None:
        self._earlier_reconnections = self.reconnections()
        self.close()
        self._client = self._opened()

    @abstractmethod
    def close(self) -> None:
        """For good, or until `reopen`."""

    @abstractmethod
    def _opened(self) -> Any: ...

    def _options(self) -> dict[str, Any]:
        return {"transport": self.group.transport, "timeout_s": TIMEOUT_S, **self.group.options}

    def _reconnections_now(self) -> int:
        """Of the only endpoint, or of all of them."""
        stats = self._client.stats()
        return sum(int(each.get("reconnections", 0)) for each in stats.get("endpoints", {"": stats}).values())


class Caller(Handle):
    """`kt.Client.call`."""

    def ask(self, calls: Sequence[Call]) -> list[Outcome]:
        """The answer of each call, or what it raised."""
        return [self._attempt(call) for call in calls]

    def close(self) -> None:
        self._client.close()

    def _opened(self) -> Any:
        return kt.connect(self.group.endpoints, **self._options())

    def _attempt(self, call: Call) -> Outcome:
        try:
            answer: Outcome = self._client.call(*call)
        except Exception as exc:
            return exc
        return answer


class ManyCaller(Caller):
    """`kt.Client.call_many`."""

    def ask(self, calls: Sequence[Call]) -> list[Outcome]:
        try:
            return list(self._client.call_many(calls))
        except Exception as exc:
            return [exc for _ in calls]


class CompatCaller(Caller):
    """KATO's own client."""

    def _opened(self) -> Any:
        host, _, port = self.group.endpoints[0].removeprefix("tcp://").rpartition(":")
        return ImprovedZMQClient(host, int(port), int(TIMEOUT_S * 1000))

    def _reconnections_now(self) -> int:
        return int(self._client.get_stats()["reconnections"])


class AsyncCaller(Handle):
    """`kt.AsyncClient.call`; opened and closed by somebody beside its loop, who has `run` for that."""

    def __init__(self, group: Group, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._run = run
        super().__init__(group)

    async def ask(self, calls: Sequence[Call]) -> list[Outcome]:
        """As `Caller.ask`."""
        outcomes: list[Outcome] = []
        for call in calls:
            try:
                outcomes.append(await self._client.call(*call))
            except Exception as exc:
                outcomes.append(exc)
        return outcomes

    def close(self) -> None:
        self._run(self._client.close())

    def _opened(self) -> Any:
        async def opened() -> kt.AsyncClient:
            return kt.aconnect(self.group.endpoints, **self._options())

        return self._run(opened())


CALLERS: Final[Mapping[str, type[Caller]]] = {"call": Caller, "call_many": ManyCaller, "compat": CompatCaller}
