"""zerorpc: ZeroMQ under gevent, a channel for each call; a client per thread, as each thread has its own loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import zerorpc

from bench.rpc.driver import payload
from bench.rpc.driver.payload import NAP_S, Params, free_port


def nap(params: Params) -> Params:
    """So that others are served meanwhile, as everything under gevent has to wait."""
    gevent.sleep(NAP_S)
    return params


def serve(variant: str, ready: Callable[[str], None]) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    server = zerorpc.Server({"echo": payload.echo, "nap": nap})
    server.bind(endpoint)
    ready(endpoint)
    server.run()


class Client:
    def __init__(self, endpoint: str, variant: str) -> None:
        self._endpoint = endpoint

    @contextmanager
    def calling(self) -> Iterator[Callable[[str, Params], Any]]:
        client = zerorpc.Client(self._endpoint)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def pipelining(self, in_flight: int) -> Iterator[Callable[[str, Params, int], list[Any]]]:
        with self.calling() as client:

            def make(method: str, params: Params, count: int) -> list[Any]:
                waiting: deque[Any] = deque()
                answers = []
                for _ in range(count):
                    if len(waiting) == in_flight:
                        answers.append(waiting.popleft().get())
                    waiting.append(client(method, params, **{"async": True}))
                return answers + [one.get() for one in waiting]

            yield make
