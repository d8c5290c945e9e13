"""A client of one subject: `python -m bench.rpc.driver.client MODULE:CLASS VARIANT ENDPOINT`.

It speaks lines of JSON, and waits between them, so that subjects can take turns:

    {"method": "echo", "size": 200, "threads": 1, "in_flight": 1}   →   {"ready": true}, connected and warm
    {"seconds": 0.25}                                               →   {"calls": …, "seconds": …, "p50_us": …, …}

The class takes an endpoint and a variant, and has one of

* `calling()`, a context manager, entered on each thread, of a function that makes one call;
* `acalling()`, the same for asyncio, entered on a loop for each thread.

and, beside `calling`, where several calls can be under way on one thread, `pipelining(in_flight)`: a context manager of a
function that makes many. Else as many threads as calls are in flight make one at a time.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from bench.rpc.driver import payload
from bench.rpc.driver.payload import Params

WARM_S: Final = 0.05
BATCHES: Final = {"echo": 1000, "nap": 128}
"""Calls that are made in one go where they are pipelined: enough that its beginning and end do not count."""

Call = Callable[[str, Params], Any]
"""Of a method with its parameters; the answer's map, or one to wait for."""


class Turn:
    """What the threads of one measurement share."""

    def __init__(self, work: dict[str, Any], threads: int) -> None:
        self.method: str = work["method"]
        self.params = payload.params(work["size"])
        self.in_flight: int = work["in_flight"]
        self.errors: list[BaseException] = []
        self.took: list[int] = []
        """Nanoseconds of each call, where calls can be told apart."""
        self.calls = 0
        self.until = 0.0
        self._ready = threading.Barrier(threads + 1)
        self._told = threading.Event()
        self._lock = threading.Lock()

    def check(self, answer: Any) -> None:
        """Nobody gains anything by an answer that is not the right one."""
        for name, value in self.params.items():
            if (list(answer[name]) if isinstance(value, list) else answer[name]) != value:
                raise AssertionError(f"{self.method} answered something else in {name!r}")

    def wait(self) -> None:
        """Until all are ready and it is said for how long to go on."""
        self._ready.wait()
        self._told.wait()

    def all_are_ready(self) -> None:
        try:
            self._ready.wait()
        except threading.BrokenBarrierError:
            raise self.errors[0] from None

    def tell(self, seconds: float) -> None:
        self.until = time.perf_counter() + seconds
        self._told.set()

    def add(self, calls: int, took: list[int]) -> None:
        with self._lock:
            self.calls += calls
            self.took += took

    def failed(self, exc: BaseException) -> None:
        with self._lock:
            self.errors.append(exc)
        self._ready.abort()


# --- one thread's part --------------------------------------------------------------------------------------------------


def one_by_one(client: Any, turn: Turn) -> None:
    with client.calling() as call:
        turn.check(call(turn.method, turn.params))
        _timed(call, turn, time.perf_counter() + WARM_S)
        turn.wait()
        took = _timed(call, turn, turn.until)
    turn.add(len(took), took)


def _timed(call: Call, turn: Turn, until: float) -> list[int]:
    method, params, clock, took, until_ns = turn.method, turn.params, time.perf_counter_ns, list[int](), int(until * 1e9)
    while (began := clock()) < until_ns:
        call(method, params)
        took.append(clock() - began)
    return took


def many_at_once(client: Any, turn: Turn) -> None:
    done, batch = 0, BATCHES[turn.method]
    with client.pipelining(turn.in_flight) as make:
        for answer in make(turn.method, turn.params, turn.in_flight):
            turn.check(answer)
        turn.wait()
        while time.perf_counter() < turn.until:
            make(turn.method, turn.params, batch)
            done += batch
    turn.add(done, [])


def on_a_loop(client: Any, turn: Turn) -> None:
    asyncio.run(_on_a_loop(client, turn))


async def _on_a_loop(client: Any, turn: Turn) -> None:
    async with client.acalling() as call:
        turn.check(await call(turn.method, turn.params))
        await _tasks(call, turn, time.perf_counter() + WARM_S)
        turn.wait()
        took = await _tasks(call, turn, turn.until)
    turn.add(len(took), took)


async def _tasks(call: Callable[[str, Params], Awaitable[Any]], turn: Turn, until: float) -> list[int]:
    method, params, clock, took, until_ns = turn.method, turn.params, time.perf_counter_ns, list[int](), int(until * 1e9)

    async def one_by_one() -> None:
        while (began := clock()) < until_ns:
            await call(method, params)
            took.append(clock() - began)

    if turn.in_flight == 1:
        await one_by_one()
    else:
        await asyncio.gather(*(one_by_one() for _ in range(turn.in_flight)))
    return took


# --- the process --------------------------------------------------------------------------------------------------------


def part_of(client: Any, in_flight: int) -> tuple[Callable[[Any, Turn], None], int, str]:
    """What a thread does, how many do it, and how it is called."""
    if hasattr(client, "acalling"):
        return on_a_loop, 1, "tasks" if in_flight > 1 else ""
    if in_flight > 1 and hasattr(client, "pipelining"):
        return many_at_once, 1, "pipelined"
    return one_by_one, in_flight, "threads" if in_flight > 1 else ""


def measure(client: Any, work: dict[str, Any], hear: Callable[[], dict[str, Any]], say: Callable[..., None]) -> None:
    part, each, how = part_of(client, work["in_flight"])
    turn = Turn(work, each * work["threads"])
    threads = [threading.Thread(target=_guarded, args=(part, client, turn), daemon=True) for _ in range(each * work["threads"])]
    for thread in threads:
        thread.start()
    turn.all_are_ready()
    say(ready=True)
    seconds = hear()["seconds"]
    began = time.perf_counter()
    turn.tell(seconds)
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if turn.errors:
        raise turn.errors[0]
    say(calls=turn.calls, seconds=took, how=how, **_latency(sorted(turn.took)))


def _guarded(part: Callable[[Any, Turn], None], client: Any, turn: Turn) -> None:
    try:
        part(client, turn)
    except BaseException as exc:  # SystemExit of a thread is a failure, too
        turn.failed(exc)


def _latency(took: list[int]) -> dict[str, float]:
    if not took:
        return {}
    return {"p50_us": took[len(took) // 2] / 1e3, "p99_us": took[min(int(len(took) * 0.99), len(took) - 1)] / 1e3}


def main() -> None:
    found, variant, endpoint = sys.argv[1:]
    module, _, name = found.partition(":")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer has to say is no answer

    def say(**answer: object) -> None:
        print(json.dumps(answer), file=out, flush=True)

    def hear() -> dict[str, Any]:
        line = sys.stdin.readline()
        if not line:
            os._exit(0)  # whatever threads a peer has
        heard: dict[str, Any] = json.loads(line)
        return heard

    try:
        client = getattr(importlib.import_module(module), name)(endpoint, variant)
        say(ready=True)
        while True:
            measure(client, hear(), hear, say)
    except Exception as exc:
        say(error=f"{type(exc).__name__}: {exc}")
        os._exit(1)


if __name__ == "__main__":
    main()
