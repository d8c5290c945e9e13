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
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import Any, Final

from bench.soak.callers import CALLERS, AsyncCaller, Caller, Group
from bench.soak.calls import Asker, Tally
from bench.soak.ledger import Account
from kato_transport.testing.waiting import background, comes_true

THINKING_S: Final = 0.04
"""The longest that a client waits between its calls."""
SETTLE_S: Final = 10.0
"""How long threads and descriptors are given to go, once every client is closed."""


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
        self._handles = [self._opened(group) for group in groups]
        self._askers = [
            (Asker(f"{handle.group.name}-{number}", seed, models, handle.group.at_once, bool(handle.group.memory)), handle)
            for handle in self._handles
            for number in range(handle.group.askers)
        ]

    def work(self) -> None:
        """Begin a shift, with some of the clients made anew."""
        self._resting.clear()
        for handle in self._handles:
            if self._dice.random() < 0.5:
                handle.reopen()
        self._working = [self._begun(asker, handle) for asker, handle in self._askers]

    def rest(self) -> dict[str, dict[str, Account]]:
        """End the shift, once every call under way has ended; accounts by memory and client."""
        self._resting.set()
        for worker in self._working:
            worker.result()
        accounts: dict[str, dict[str, Account]] = {}
        for asker, handle in self._askers:
            accounts.setdefault(handle.group.memory, {})[asker.ledger.name] = asker.ledger.account()
        return accounts

    def end(self) -> dict[str, Any]:
        """Close everything: what all calls came to, and what is left that was not there at the beginning."""
        reconnections = sum(handle.reconnections() for handle in self._handles)
        for handle in self._handles:
            handle.close()
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

    def _begun(self, asker: Asker, handle: Caller | AsyncCaller) -> Future[None]:
        if isinstance(handle, AsyncCaller):
            return asyncio.run_coroutine_threadsafe(self._calls_async(asker, handle), self._loop)
        return background(self._calls, asker, handle)

    def _calls(self, asker: Asker, handle: Caller) -> None:
        while not self._resting.is_set():
            calls, started = asker.next(), time.monotonic()
            asker.judge(calls, handle.ask(calls), time.monotonic() - started - handle.timeout_s)
            time.sleep(asker.dice.uniform(0, THINKING_S))

    async def _calls_async(self, asker: Asker, handle: AsyncCaller) -> None:
        while not self._resting.is_set():
            calls, started = asker.next(), time.monotonic()
            asker.judge(calls, await handle.ask(calls), time.monotonic() - started - handle.timeout_s)
            await asyncio.sleep(asker.dice.uniform(0, THINKING_S))

    def _warm_up(self, groups: Sequence[Group]) -> None:
        """What a first call makes, and a process keeps, is no leak."""
        for group in groups:
            handle = self._opened(group)
            asked = handle.ask([("get_name", {})])
            if isinstance(asked, Coroutine):
                self._run(asked)
            handle.close()

    def _opened(self, group: Group) -> Caller | AsyncCaller:
        return AsyncCaller(group, self._run) if group.how == "acall" else CALLERS[group.how](group)

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
