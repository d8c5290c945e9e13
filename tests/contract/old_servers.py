"""Servers as the original wrote them, by hand over raw sockets: no correlation, no features, one thread for all."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

import msgpack
import zmq

from .doubles import WAIT_S, until

NO_ANSWER = object()


class OldServer:
    """Answers `get_name` and `observe`; a call of `slow` takes until `release` is set, and so does all that follows.

    With a `pause_s`, everything takes that long.
    """

    kind: int

    def __init__(self, endpoint: str = "tcp://127.0.0.1:0") -> None:
        self.ran: list[str] = []
        self.heartbeats = 0
        self.pause_s = 0.0
        self.release = threading.Event()
        self.context = zmq.Context()
        self.socket = self.context.socket(self.kind)
        self.socket.linger = 0
        until(lambda: self._bound(endpoint), f"{endpoint} stays in use")
        self.endpoint = self.socket.last_endpoint.decode()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def answer_to(self, data: bytes) -> Any:
        """The original's dispatch."""
        try:
            message = msgpack.unpackb(data)
            if message.get("type") == "heartbeat":
                self.heartbeats += 1
                return {"status": "ok", "timestamp": time.time()}
            return self.answer(message["method"], message.get("params") or {})
        except Exception as exc:
            return {"status": "error", "message": str(exc)}

    def answer(self, method: str, params: dict[str, Any]) -> Any:
        if method == "slow":
            self.release.wait(2 * WAIT_S)
        self.ran.append(method)
        if method == "lost":
            return NO_ANSWER
        if method in ("get_name", "slow"):
            return {"status": "okay", "id": "old", "message": "Old", "interval": 0, "time_stamp": time.time()}
        if method == "observe":
            return {"status": "okay", "id": "old", "message": "observed", "unique_id": params["unique_id"]}
        raise ValueError(f"Unknown method: {method}")

    def exchange(self) -> None:
        """Take one message and answer it."""
        raise NotImplementedError

    def close(self) -> None:
        self.release.set()
        self._stop.set()
        self._thread.join()
        self.context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _bound(self, endpoint: str) -> bool:
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError:
            return False
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            if self.socket.poll(20):
                self._stop.wait(self.pause_s)
                self.exchange()


class OldImprovedServer(OldServer):
    """A ROUTER that takes the first frame after the identity for the message, and answers in one frame."""

    kind = zmq.ROUTER

    def exchange(self) -> None:
        identity, message, *_ = self.socket.recv_multipart()
        answer = self.answer_to(message)
        if answer is not NO_ANSWER and message:
            self.socket.send_multipart([identity, msgpack.packb(answer)])

    def answer(self, method: str, params: dict[str, Any]) -> Any:
        if method == "ping":
            self.ran.append(method)
            return {"status": "okay", "message": "pong", "timestamp": time.time()}
        return super().answer(method, params)


class OldBasicServer(OldServer):
    """A REP, which knows no `ping`."""

    kind = zmq.REP

    def exchange(self) -> None:
        self.socket.send(msgpack.packb(self.answer_to(self.socket.recv())))
