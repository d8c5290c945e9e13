"""CPU that a server needs for a call, by how many clients call it at once: `python -m bench.scaling.clients COUNT`.

Each client has a connection and a thread of its own. What the server needs is counted by the kernel, so it does not matter
that so many clients in one process get in each other's way.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import threading
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, Final

import kato_transport as kt
from bench.processes import cpu_seconds

PARAMS: Final = {"text": "x" * 150, "number": 12345, "list": [1, 2, 3]}
SECONDS: Final = 0.7
TIMEOUT_S: Final = 30.0


def echo(**params: Any) -> dict[str, Any]:
    return {"params": params}


def serve(ready: Connection) -> None:
    with kt.serve({"pooled": echo, "inline": kt.inline(lambda **params: {"params": params})}, "tcp://127.0.0.1:0") as server:
        ready.send(server.endpoint)
        ready.poll(None)


def figures(count: int) -> dict[str, float]:
    """Microseconds of the server's CPU time for each call."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=serve, args=(theirs,))
    process.start()
    try:
        endpoint = ours.recv()
        assert process.pid is not None
        return {f"{method}, CPU per call": _cpu(endpoint, process.pid, method, count) for method in ("inline", "pooled")}
    finally:
        ours.send(None)
        process.join()


def _cpu(endpoint: str, pid: int, method: str, count: int) -> float:
    answered = [0] * count
    stop = threading.Event()

    def ask(place: int, client: kt.Client) -> None:
        while not stop.is_set():
            client.call(method, PARAMS)
            answered[place] += 1

    with ExitStack() as stack:
        clients = [stack.enter_context(kt.connect(endpoint, timeout_s=TIMEOUT_S)) for _ in range(count)]
        for client in clients:
            client.call(method, PARAMS)
        threads = [threading.Thread(target=ask, args=(place, client)) for place, client in enumerate(clients)]
        for thread in threads:
            thread.start()
        began, calls = cpu_seconds(pid), sum(answered)
        time.sleep(SECONDS)
        cpu, calls = cpu_seconds(pid) - began, sum(answered) - calls
        stop.set()
        for thread in threads:
            thread.join()
    return cpu / calls * 1e6


if __name__ == "__main__":
    print(json.dumps(figures(int(sys.argv[1]))))
