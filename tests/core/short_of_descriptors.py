"""Clients, and a server, in a process that runs out of file descriptors when it is told to.

`python short_of_descriptors.py TRANSPORT ENDPOINT` reads a command a line and answers each with a line. `take N` takes all
descriptors but N, and `free` gives them back. `new` makes a client, calls and closes it; `keep` makes one that `call` and
`submit` call with. Each says what came of it. `serve` makes a server, and `stop` closes it and says how many threads are left.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
from collections.abc import Callable

import kato_transport as kt

LIMIT = 128
OPTIONS = {"connect_timeout_s": 0.5, "heartbeat_interval_s": 0.1, "liveness": 5}


class Process:
    """This one: its descriptors and its clients."""

    def __init__(self, transport: str, endpoint: str) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._taken: list[int] = []
        self._kept: kt.Client | None = None
        self._server: kt.RunningServer | None = None

    def take(self, but: str) -> str:
        try:
            while True:
                self._taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        for _ in range(int(but)):
            os.close(self._taken.pop())
        return "okay"

    def free(self) -> str:
        for descriptor in self._taken:
            os.close(descriptor)
        self._taken.clear()
        gc.collect()
        return "okay"

    def new(self) -> str:
        def connect_and_call() -> None:
            with self._connected() as client:
                client.call("echo", {"value": 1})
                client.submit("echo", {"value": 2}).result(10)

        return outcome(connect_and_call)

    def keep(self) -> str:
        self._kept = self._connected()
        return self.call()

    def call(self) -> str:
        assert self._kept is not None
        kept = self._kept
        return outcome(lambda: kept.call("echo", {"value": 3}))

    def submit(self) -> str:
        assert self._kept is not None
        kept = self._kept
        return outcome(lambda: kept.submit("echo", {"value": 4}).result(10))

    def serve(self) -> str:
        self._server = kt.serve({"echo": lambda value: {"value": value}}, "tcp://127.0.0.1:0", transport=self._transport)
        return self._server.endpoint

    def stop(self) -> str:
        assert self._server is not None
        told = outcome(self._server.close)
        return f"{told}, {threading.active_count() - 1} threads"

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    def _connected(self) -> kt.Client:
        return kt.connect(self._endpoint, transport=self._transport, timeout_s=5.0, **OPTIONS)


def outcome(attempt: Callable[[], object]) -> str:
    """`answered`, or the error's type and text."""
    try:
        attempt()
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    return "answered"


def main(transport: str, endpoint: str) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    process = Process(transport, endpoint)
    for line in sys.stdin:
        command, *arguments = line.split()
        print(getattr(process, command)(*arguments), flush=True)  # noqa: T201
    process.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
