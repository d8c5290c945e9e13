"""What a call owes, written out in loops: how fast Python can be at it, where nobody can add a transport or a codec.

The server checks frames, sizes and fields, runs no call twice, notes who was heard, and answers errors; the client tells
answers apart, keeps its time, and raises errors. It speaks this project's wire, and leaves out workers, retries, back-pressure,
compression, buffers, lost connections, forks, and bounds in bytes. Nothing of the library is used, on purpose.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from typing import Any

import msgpack
import zmq
from zmq import backend

from bench.rpc.driver.payload import METHODS, Params

LIMIT = 64 * 1024 * 1024
FRAMES = 3
"""Of a request: who asks, its correlation, the message."""
KEPT, KEPT_S = 10_000, 300.0
TIMEOUT_S, TICK_MS = 20.0, 50
NOW, MORE = int(zmq.DONTWAIT), int(zmq.SNDMORE | zmq.DONTWAIT)

_send = backend.Socket.send
_packed = msgpack.Packer().pack

Map = dict[Any, Any]


def serve(variant: str, ready: Callable[[str], None]) -> None:
    socket = zmq.Context().socket(zmq.ROUTER)
    socket.router_mandatory = True
    ready(f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}")
    heard: dict[bytes, float] = {}
    replies = Replies()
    while True:
        frames = received(socket, 0)
        if len(frames) != FRAMES:
            continue
        identity, correlation, message = frames
        now = time.monotonic()
        heard.pop(identity, None)
        heard[identity] = now
        answer = answered(message, replies, now)
        try:
            _send(socket, identity, MORE)
            _send(socket, correlation, MORE)
            _send(socket, answer, NOW)
        except zmq.ZMQError:
            continue


def received(socket: zmq.Socket[bytes], flags: int) -> list[bytes]:
    frame = socket.recv(flags, False)
    frames = [frame.bytes]
    while frame.more:
        frame = socket.recv(NOW, False)
        frames.append(frame.bytes)
    return frames


def answered(message: bytes, replies: Replies, now: float) -> bytes:
    try:
        method, params, once = checked(message)
        if once in replies.kept:
            return replies.kept[once]
        answer = _packed({"status": "okay", **METHODS[method](params)})
        if len(answer) > LIMIT:
            raise ValueError(f"the answer of {len(answer)} bytes exceeds {LIMIT}")
    except Exception as exc:
        return _packed({"status": "error", "message": str(exc)})
    replies.keep(once, answer, now)
    return answer


def checked(message: bytes) -> tuple[str, Params, str]:
    if len(message) > LIMIT:
        raise ValueError(f"message of {len(message)} bytes exceeds {LIMIT}")
    request = msgpack.unpackb(message, strict_map_key=False)
    method, params, once, timeout_s = map(request.get, ("method", "params", "once", "timeout_s"))
    if not (isinstance(method, str) and isinstance(params, dict) and isinstance(once, str)):
        raise TypeError("method and once must be strings, params a map")
    if type(timeout_s) not in (float, int) or not timeout_s > 0:
        raise ValueError(f"timeout_s must be above 0, not {timeout_s!r}")
    return method, params, once


class Replies:
    """What was answered, by the call's mark, so that nothing runs twice."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self._oldest_first: deque[tuple[str, float]] = deque()

    def keep(self, once: str, answer: bytes, now: float) -> None:
        self.kept[once] = answer
        oldest = self._oldest_first
        oldest.append((once, now))
        while len(oldest) > KEPT or oldest[0][1] + KEPT_S <= now:
            del self.kept[oldest.popleft()[0]]


class Client:
    """A DEALER per thread."""

    def __init__(self, endpoint: str, variant: str) -> None:
        self._endpoint = endpoint
        self._context = zmq.Context()
        self._name = os.urandom(8).hex()
        self._prefix = os.urandom(8)
        self._numbers = count(1)

    @contextmanager
    def calling(self) -> Iterator[Callable[[str, Params], Any]]:
        with self._socket() as socket:

            def call(method: str, params: Params) -> Any:
                until = time.monotonic() + TIMEOUT_S
                correlation = self._asked(socket, method, params)
                while (frames := self._next(socket, until))[0] != correlation:
                    continue
                return told(frames[1])

            yield call

    @contextmanager
    def pipelining(self, in_flight: int) -> Iterator[Callable[[str, Params, int], list[Any]]]:
        with self._socket() as socket:

            def make(method: str, params: Params, calls: int) -> list[Any]:
                waiting: dict[bytes, int] = {}
                answers: list[Any] = [None] * calls
                until = time.monotonic() + TIMEOUT_S
                for number in range(calls):
                    if len(waiting) == in_flight:
                        self._take(socket, waiting, answers, until)
                    waiting[self._asked(socket, method, params)] = number
                while waiting:
                    self._take(socket, waiting, answers, until)
                return answers

            yield make

    def _take(self, socket: zmq.Socket[bytes], waiting: dict[bytes, int], answers: list[Any], until: float) -> None:
        correlation, message = self._next(socket, until)
        number = waiting.pop(correlation, None)
        if number is not None:
            answers[number] = told(message)

    def _asked(self, socket: zmq.Socket[bytes], method: str, params: Params) -> bytes:
        correlation, message = self._request(method, params)
        _send(socket, correlation, MORE)
        _send(socket, message, NOW)
        return correlation

    def _request(self, method: str, params: Params) -> tuple[bytes, bytes]:
        number = next(self._numbers)
        request = {"method": method, "params": params, "timeout_s": TIMEOUT_S, "once": f".{self._name}.{number:x}"}
        return self._prefix + number.to_bytes(8, "big"), _packed(request)

    def _next(self, socket: zmq.Socket[bytes], until: float) -> list[bytes]:
        while True:
            try:
                return received(socket, 0)
            except zmq.Again:
                if time.monotonic() > until:
                    raise TimeoutError(f"no answer within {TIMEOUT_S} s") from None

    @contextmanager
    def _socket(self) -> Iterator[zmq.Socket[bytes]]:
        with self._context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.rcvtimeo = TICK_MS
            socket.connect(self._endpoint)
            yield socket


class AsyncClient(Client):
    """A DEALER on a loop, whose calls are sent together, once for each turn of the loop."""

    @asynccontextmanager
    async def acalling(self) -> AsyncIterator[Callable[[str, Params], Awaitable[Any]]]:
        with self._socket() as socket:
            exchanges = Exchanges(socket)

            def call(method: str, params: Params) -> Awaitable[Any]:
                return exchanges.begin(self._request(method, params))

            yield call
            exchanges.end()


class Exchanges:
    """The calls of one socket on a loop, which a timer looks after."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._descriptor = socket.getsockopt(zmq.FD)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._pump)
        self._unsent: list[tuple[bytes, bytes]] = []
        self._waiting: dict[bytes, tuple[float, asyncio.Future[Any]]] = {}
        self._timer = self._loop.call_later(TICK_MS / 1_000, self._look_after)

    def begin(self, request: tuple[bytes, bytes]) -> asyncio.Future[Any]:
        if not self._unsent:
            self._loop.call_soon(self._pump)
        self._unsent.append(request)
        future = self._loop.create_future()
        self._waiting[request[0]] = time.monotonic() + TIMEOUT_S, future
        return future

    def end(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._descriptor)

    def _pump(self) -> None:
        self._take_all()
        unsent, self._unsent = self._unsent, []
        for correlation, message in unsent:
            _send(self._socket, correlation, MORE)
            _send(self._socket, message, NOW)
        if unsent:
            self._take_all()

    def _take_all(self) -> None:
        with suppress(zmq.Again):
            while True:
                correlation, message = received(self._socket, NOW)
                _, future = self._waiting.pop(correlation, (0.0, None))
                if future is not None and not future.done():
                    future.set_result(told(message))

    def _look_after(self) -> None:
        self._timer = self._loop.call_later(TICK_MS / 1_000, self._look_after)
        now = time.monotonic()
        for correlation in [correlation for correlation, (until, _) in self._waiting.items() if until < now]:
            self._waiting.pop(correlation)[1].set_exception(TimeoutError(f"no answer within {TIMEOUT_S} s"))


def told(message: bytes) -> Map:
    answer: Map = msgpack.unpackb(message, strict_map_key=False)
    if not isinstance(answer, dict) or answer.get("status") == "error":
        raise RuntimeError(f"the server answered {answer!r:.200}")
    return answer
