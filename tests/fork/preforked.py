"""The shape of a web server: a parent that opens a client and a server, and workers forked from it that call and exit.

`python preforked.py TRANSPORT` prints how the workers of each generation ended, and how often the parent called meanwhile.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import kato_transport as kt

WORKERS = 3
GENERATIONS = 3


def work(client: kt.Client, worker: int) -> NoReturn:
    """Answer "web requests" on two threads, and leave as a program does: through every `with` that the parent is in."""

    def respond(request: int) -> bool:
        value = f"{worker}/{request}"
        return client.call("echo", {"value": value})["value"] == value

    with ThreadPoolExecutor(2) as threads:
        sys.exit(0 if all(threads.map(respond, range(40))) else 1)


def start_worker(client: kt.Client, worker: int) -> int:
    """Its process id."""
    return os.fork() or work(client, worker)


def generation(client: kt.Client) -> tuple[list[int], int]:
    """The workers' exit statuses, and the calls that the parent made while they were at work."""
    running = {start_worker(client, worker) for worker in range(WORKERS)}
    statuses, calls = [], 0
    while running:
        calls += 1
        assert client.call("echo", {"value": calls})["value"] == calls
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                running.discard(pid)
                statuses.append(os.waitstatus_to_exitcode(status))
    return statuses, calls


def main(transport: str) -> None:
    methods = {"echo": lambda value: {"value": value}}
    with (
        kt.serve(methods, "tcp://127.0.0.1:0", transport=transport) as server,
        kt.connect(server.endpoint, transport=transport, timeout_s=20.0) as client,
    ):
        client.submit("echo", {"value": 0}).result()
        generations = [generation(client) for _ in range(GENERATIONS)]
        with kt.connect(server.endpoint, transport=transport, timeout_s=20.0) as newcomer:
            assert newcomer.call("echo", {"value": "new"})["value"] == "new"
        assert client.submit("echo", {"value": 1}).result()["value"] == 1
        print(json.dumps(generations))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
