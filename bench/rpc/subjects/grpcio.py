"""gRPC with methods from bytes to bytes, and maps as MessagePack: no protocol buffers are compiled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import msgpack

from bench.rpc.driver.payload import METHODS, Params

THREADS = 64
"""Of the server, which has no default; as many as are ever in flight."""
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
TIMEOUT_S = 20.0


def served(method: Callable[[Params], Params]) -> Any:
    def answer(packed: bytes, context: object) -> bytes:
        answered: bytes = msgpack.packb(method(msgpack.unpackb(packed)))
        return answered

    return grpc.unary_unary_rpc_method_handler(answer)


def serve(variant: str, ready: Callable[[str], None]) -> None:
    server = grpc.server(ThreadPoolExecutor(THREADS), options=OPTIONS)
    methods = {name: served(method) for name, method in METHODS.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ready(f"127.0.0.1:{port}")
    server.wait_for_termination()


class Client:
    """One channel, that all threads share."""

    def __init__(self, endpoint: str, variant: str) -> None:
        channel = grpc.insecure_channel(endpoint, options=OPTIONS)
        self._methods = {name: channel.unary_unary(f"/bench/{name}") for name in METHODS}

    @contextmanager
    def calling(self) -> Iterator[Callable[[str, Params], Any]]:
        methods = self._methods
        yield lambda method, params: msgpack.unpackb(methods[method](msgpack.packb(params), timeout=TIMEOUT_S))

    @contextmanager
    def pipelining(self, in_flight: int) -> Iterator[Callable[[str, Params, int], list[Any]]]:
        def make(method: str, params: Params, count: int) -> list[Any]:
            remote, waiting = self._methods[method], deque[Any]()
            answers = []
            for _ in range(count):
                if len(waiting) == in_flight:
                    answers.append(msgpack.unpackb(waiting.popleft().result()))
                waiting.append(remote.future(msgpack.packb(params), timeout=TIMEOUT_S))
            return answers + [msgpack.unpackb(one.result()) for one in waiting]

        yield make
