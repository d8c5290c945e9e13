"""A proxy for ZeroMQ messages that loses, delays, repeats and cuts at random, as the dice of a seed fall.

TCP itself does none of that to a message, but what stands between two peers may: a proxy that is restarted, a queue that
overflows, a relay that sends again.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from types import TracebackType
from typing import Self

import zmq

TICK_MS = 5


class MessageProxy:
    """ROUTER in front, DEALER behind; in a thread until it is closed. Odds are per message and direction."""

    def __init__(self, upstream: str, seed: int, *, lost: float, repeated: float, delayed: float, cut: float) -> None:
        self.counts = {"lost": 0, "repeated": 0, "delayed": 0, "cut": 0}
        self._upstream = upstream
        self._dice = random.Random(seed)
        self._odds = {"lost": lost, "repeated": repeated, "delayed": delayed, "cut": cut}
        self._late: list[tuple[float, int, bool, list[bytes]]] = []
        self._order = itertools.count()
        self._ended = threading.Event()
        self._context = zmq.Context()
        self.endpoint = self._open("tcp://127.0.0.1:0")
        self._thread = threading.Thread(target=self._run, name="message-proxy", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _open(self, endpoint: str) -> str:
        self._front, self._back = self._context.socket(zmq.ROUTER), self._context.socket(zmq.DEALER)
        self._back.reconnect_ivl = 10
        self._back.connect(self._upstream)
        self._front.bind(endpoint)
        found: bytes = self._front.getsockopt(zmq.LAST_ENDPOINT)  # type: ignore[assignment]
        return found.rstrip(b"\0").decode()

    def _close(self) -> None:
        self._front.close(linger=0)
        self._back.close(linger=0)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._front.poll(TICK_MS)
            for up in (True, False):
                while (source := self._front if up else self._back).poll(0):
                    self._pass_on(up, source.recv_multipart())
                    if self._falls("cut"):
                        self._cut()
            self._send_late()

    def _pass_on(self, up: bool, frames: list[bytes]) -> None:
        if self._falls("lost"):
            return
        if self._falls("delayed"):
            heapq.heappush(self._late, (time.monotonic() + self._dice.uniform(0.0, 1.0), next(self._order), up, frames))
            return
        self._send(up, frames)
        if self._falls("repeated"):
            self._send(up, frames)

    def _send_late(self) -> None:
        while self._late and self._late[0][0] <= time.monotonic():
            _, _, up, frames = heapq.heappop(self._late)
            self._send(up, frames)

    def _send(self, up: bool, frames: list[bytes]) -> None:
        (self._back if up else self._front).send_multipart(frames)

    def _cut(self) -> None:
        """All connections, and what waits in them; delayed messages still come, to whoever is there then."""
        self._close()
        while True:
            try:
                self._open(self.endpoint)
                return
            except zmq.ZMQError:  # the port is let go of by a thread of libzmq
                self._close()
                self._ended.wait(0.01)

    def _falls(self, what: str) -> bool:
        falls = self._dice.random() < self._odds[what]
        self.counts[what] += falls
        return falls
