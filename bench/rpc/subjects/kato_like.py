"""As KATO's original ZeroMQ layer worked: REQ to REP with msgpack, a socket per thread of a pool, one thread that serves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import zmq

from bench.rpc.driver.payload import METHODS, Params

TIMEOUT_MS = 20_000


def serve(variant: str, ready: Callable[[str], None]) -> None:
    thread = threading.Thread(target=_serve, args=(ready,))
    thread.start()
    thread.join()


def _serve(ready: Callable[[str], None]) -> None:
    socket = zmq.Context().socket(zmq.REP)
    socket.rcvtimeo = 1000
    ready(f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}")
    while True:
        try:
            request = msgpack.unpackb(socket.recv(), raw=False)
        except zmq.Again:
            continue
        method = METHODS.get(request["method"])
        if method is None:
            answer = {"status": "error", "message": f"Unknown method: {request['method']}"}
        else:
            answer = {"status": "okay", **method(request["params"])}
        socket.send(msgpack.packb(answer, use_bin_type=True))


class Pool:
    """A REQ socket for each thread, and counts under a lock."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._context = zmq.Context()
        self._own = threading.local()
        self._lock = threading.Lock()
        self.requests = 0

    def execute(self, method: str, params: Params) -> Any:
        socket = self._socket()
        with self._lock:
            self.requests += 1
        socket.send(msgpack.packb({"method": method, "params": params}, use_bin_type=True))
        answer = msgpack.unpackb(socket.recv(), raw=False)
        if answer["status"] == "error":
            raise RuntimeError(f"Server error: {answer['message']}")
        return answer

    def _socket(self) -> zmq.Socket[bytes]:
        if not hasattr(self._own, "socket"):
            socket = self._own.socket = self._context.socket(zmq.REQ)
            socket.rcvtimeo = socket.sndtimeo = TIMEOUT_MS
            socket.linger = 0
            socket.connect(self._endpoint)
        found: zmq.Socket[bytes] = self._own.socket
        return found

    def let_go(self) -> None:
        """Of this thread's socket."""
        self._socket().close()
        del self._own.socket


class Client:
    def __init__(self, endpoint: str, variant: str) -> None:
        self._pool = Pool(endpoint)

    @contextmanager
    def calling(self) -> Iterator[Callable[[str, Params], Any]]:
        yield self._pool.execute
        self._pool.let_go()
