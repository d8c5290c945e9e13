"""RPyC, with maps as MessagePack: what it does not send by value it would send by reference, with a round trip per access.

Its server has a thread per connection, which runs one call after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import rpyc
from rpyc.utils.server import ThreadedServer

from bench.rpc.driver.payload import METHODS, Params

CONFIG = {"sync_request_timeout": 30}


class Methods(rpyc.Service):
    def exposed_call(self, method: str, packed: bytes) -> bytes:
        answered: bytes = msgpack.packb(METHODS[method](msgpack.unpackb(packed)))
        return answered


def serve(variant: str, ready: Callable[[str], None]) -> None:
    server = ThreadedServer(Methods, hostname="127.0.0.1", port=0)
    ready(f"127.0.0.1:{server.port}")
    server.start()


class ClientPerThread:
    """A connection for each."""

    def __init__(self, endpoint: str, variant: str) -> None:
        host, _, port = endpoint.partition(":")
        self._address = host, int(port)

    @contextmanager
    def calling(self) -> Iterator[Callable[[str, Params], Any]]:
        with rpyc.connect(*self._address, config=CONFIG) as connection:
            remote = connection.root.call
            yield lambda method, params: msgpack.unpackb(remote(method, msgpack.packb(params)))


class Client(ClientPerThread):
    @contextmanager
    def pipelining(self, in_flight: int) -> Iterator[Callable[[str, Params, int], list[Any]]]:
        with rpyc.connect(*self._address, config=CONFIG) as connection:
            remote = rpyc.async_(connection.root.call)

            def make(method: str, params: Params, count: int) -> list[Any]:
                waiting: deque[Any] = deque()
                answers = []
                for _ in range(count):
                    if len(waiting) == in_flight:
                        answers.append(msgpack.unpackb(waiting.popleft().value))
                    waiting.append(remote(method, msgpack.packb(params)))
                return answers + [msgpack.unpackb(one.value) for one in waiting]

            yield make
