"""A process of clients: threads and tasks that call, shift after shift, each through a client that may be shared.

It is told what to do through a pipe, and answers each word: `work`, `rest` (gives the accounts), `end` (gives the figures).
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import random
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Final

from attrs import Factory, frozen

import kato_transport as kt
from bench.soak.calls import Asker, Call, Outcome, Tally
from bench.soak.ledger import Account
from kato_transport.compat import ImprovedZMQClient
from kato_transport.testing.waiting import background, comes_true

TIMEOUT_S: Final = 4.0
THINKING_S: Final = 0.04
"""The longest that a client waits between its calls."""
AT_ONCE: Final = 16
SETTLE_S: Final = 10.0
"""How long threads and descriptors are given to go, once every client is closed."""


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


class Mouth(ABC):
    """A client that can be closed and opened anew."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._reconnections = 0
        self.memory = group.memory
        self.timeout_s: float = group.options.get("timeout_s", TIMEOUT_S)
        self.client = self._opened()

    def ask(self, calls: Sequence[Call]) -> list[Outcome]:
        """The answer of each call, or what it raised."""
        return [self._attempt(call) for call in calls]

    def reconnections(self) -> int:
        return self._reconnections + self._reconnections_now()

    def close(self) -> None:
        self._reconnections = self.reconnections()
        self.client.close()

    def reopen(self) -> None:
        self.close()
        self.client = self._opened()

    @abstractmethod
    def _opened(self) -> Any: ...

    def _attempt(self, call: Call) -> Outcome:
        try:
            answer: Outcome = self.client.call(*call)
        except Exception as exc:
            return exc
        return answer

    def _reconnections_now(self) -> int:
        return _reconnections_in(self.client.stats())


class Caller(Mouth):
    """`kt.Client.call`."""

    def _opened(self) -> kt.Client:
        options = {"timeout_s": TIMEOUT_S, **self._group.options}
        return kt.connect(self._group.endpoints, transport=self._group.transport, **options)


class ManyCaller(Caller):
    """`kt.Client.call_many`."""

    def ask(self, calls: Sequence[Call]) -> list[Outcome]:
        try:
            return list(self.client.call_many(calls))
        except Exception as exc:
            return [exc for _ in calls]


class CompatCaller(Mouth):
    """KATO's own client."""

    def _opened(self) -> ImprovedZMQClient:
        host, _, port = self._group.endpoints[0].removeprefix("tcp://").rpartition(":")
        return ImprovedZMQClient(host, int(port), int(TIMEOUT_S * 1000))

    def _reconnections_now(self) -> int:
        return int(self.client.get_stats()["reconnections"])


class AsyncCaller(Mouth):
    """`kt.AsyncClient.call`, on the loop that is given; opened and closed from beside it."""

    def __init__(self, group: Group, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._run = run
        super().__init__(group)

    async def aask(self, calls: Sequence[Call]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for call in calls:
            try:
                outcomes.append(await self.client.call(*call))
            except Exception as exc:
                outcomes.append(exc)
        return outcomes

    def close(self) -> None:
        self._reconnections = self.reconnections()
        self._run(self.client.close())

    def _opened(self) -> kt.AsyncClient:
        async def opened() -> kt.AsyncClient:
            options = {"timeout_s": TIMEOUT_S, **self._group.options}
            return kt.aconnect(self._group.endpoints, transport=self._group.transport, **options)

        found: kt.AsyncClient = self._run(opened())
        return found


MOUTHS: Mapping[str, type[Mouth]] = {"call": Caller, "call_many": ManyCaller, "compat": CompatCaller}


class Process:
    """All groups of one process, and its event loop."""

    def __init__(self, groups: Sequence[Group], models: Mapping[str, int], seed: int) -> None:
        self._dice = random.Random(f"{seed} {groups[0].name}")
        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(target=self._loop.run_forever, name="soak-loop")
        self._loop_thread.start()
        self._warm_up(groups)
        self._before = self._left()
        self._resting = threading.Event()
        self._mouths = [self._opened(group) for group in groups]
        self._askers = [
            (Asker(f"{group.name}-{number}", seed, models, at_once=group.at_once, observes=bool(group.memory)), mouth)
            for group, mouth in zip(groups, self._mouths, strict=True)
            for number in range(group.askers)
        ]

    def work(self) -> None:
        """Begin a shift, with some of the clients made anew."""
        self._resting.clear()
        for mouth in self._mouths:
            if self._dice.random() < 0.5:
                mouth.reopen()
        of_tasks = [(asker, mouth) for asker, mouth in self._askers if isinstance(mouth, AsyncCaller)]
        others = [(asker, mouth) for asker, mouth in self._askers if not isinstance(mouth, AsyncCaller)]
        self._tasks = [asyncio.run_coroutine_threadsafe(self._calls_async(*pair), self._loop) for pair in of_tasks]
        self._threads = [background(self._calls, *pair) for pair in others]

    def rest(self) -> dict[str, dict[str, Account]]:
        """End the shift, once every call under way has ended; accounts by memory and client."""
        self._resting.set()
        for worker in [*self._threads, *self._tasks]:
            worker.result()
        accounts: dict[str, dict[str, Account]] = {}
        for asker, mouth in self._askers:
            accounts.setdefault(mouth.memory, {})[asker.ledger.name] = asker.ledger.account()
        return accounts

    def end(self) -> dict[str, Any]:
        """Close everything: what all calls came to, and what is left that was not there at the beginning."""
        reconnections = sum(mouth.reconnections() for mouth in self._mouths)
        for mouth in self._mouths:
            mouth.close()
        comes_true(lambda: not any(self._leaks().values()), SETTLE_S)
        leaks = self._leaks()
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join()
        self._loop.close()
        tally = Tally()
        for asker, _ in self._askers:
            tally.add(asker.tally)
        return {"tally": tally, "leaks": leaks, "reconnections": reconnections}

    def _calls(self, asker: Asker, mouth: Mouth) -> None:
        while not self._resting.is_set():
            calls, started = asker.next(), time.monotonic()
            asker.judge(calls, mouth.ask(calls), time.monotonic() - started - mouth.timeout_s)
            time.sleep(asker.dice.uniform(0, THINKING_S))

    async def _calls_async(self, asker: Asker, mouth: AsyncCaller) -> None:
        while not self._resting.is_set():
            calls, started = asker.next(), time.monotonic()
            asker.judge(calls, await mouth.aask(calls), time.monotonic() - started - mouth.timeout_s)
            await asyncio.sleep(asker.dice.uniform(0, THINKING_S))

    def _warm_up(self, groups: Sequence[Group]) -> None:
        """What a first call makes, and a process keeps, is no leak."""
        for group in groups:
            mouth = self._opened(group)
            if isinstance(mouth, AsyncCaller):
                self._run(mouth.aask([("get_name", {})]))
            else:
                mouth.ask([("get_name", {})])
            mouth.close()

    def _opened(self, group: Group) -> Mouth:
        return AsyncCaller(group, self._run) if group.how == "acall" else MOUTHS[group.how](group)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _left(self) -> dict[str, int]:
        """Threads, tasks and descriptors; the one task is the one that looks."""
        return {
            "threads": threading.active_count(),
            "tasks": self._run(_count_tasks()),
            "descriptors": len(os.listdir("/dev/fd")),
        }

    def _leaks(self) -> dict[str, int]:
        return {what: max(0, count - self._before[what]) for what, count in self._left().items()}


async def _count_tasks() -> int:
    return len(asyncio.all_tasks())


def _reconnections_in(stats: Mapping[str, Any]) -> int:
    """Of a client's only endpoint, or of all of them."""
    return sum(int(each.get("reconnections", 0)) for each in stats.get("endpoints", {"": stats}).values())


def run(groups: Sequence[Group], models: Mapping[str, int], seed: int, pipe: Connection) -> None:
    """The process: does as it is told until it is told to end, or nobody is left to tell it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the soak, which ends this process in order
    faulthandler.register(signal.SIGUSR1)  # where does it hang?
    logging.basicConfig(level=logging.ERROR)
    process = Process(groups, models, seed)
    pipe.send("ready")
    try:
        while (word := pipe.recv()) != "end":
            pipe.send(getattr(process, word)())
        pipe.send(process.end())
    except EOFError:
        os._exit(1)
