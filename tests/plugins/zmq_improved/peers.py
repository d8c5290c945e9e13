"""Hand-written peers of the improved transport's client, and how these tests wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgpack
import zmq

WAIT_S = 5.0
"""What anything in these tests may take at most before it counts as not happening."""


def until(condition: Callable[[], Any], what: str, limit_s: float = 2 * WAIT_S) -> None:
    """Wait until the condition holds; fail with `what` where it does not in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


class RawRouter:
    """A server by hand: echoes envelopes, says it correlates, and falls silent when it is told to."""

    def __init__(self) -> None:
        self.silent = threading.Event()
        self.heartbeats = 0
        self.requests = 0
        self.identities: set[bytes] = set()
        self._stop = threading.Event()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self.endpoint = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._thread = threading.Thread(target=self._run, name="raw-router", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(10):
                self._take(self._socket.recv_multipart())

    def _take(self, frames: list[bytes]) -> None:
        *envelope, data = frames
        message = msgpack.unpackb(data)
        self.identities.add(envelope[0])
        if message.get("type") == "heartbeat":
            self.heartbeats += 1
            answer: dict[str, Any] = {"type": "heartbeat", "status": "ok"}
        else:
            self.requests += 1
            answer = {"status": "okay", "message": "pong", "features": ["correlation"]}
        if not self.silent.is_set():
            self._socket.send_multipart([*envelope, msgpack.packb(answer)])
