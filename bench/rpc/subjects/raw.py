"""Raw pyzmq: DEALER and ROUTER, one codec and nothing else; the yardstick. One thread serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import msgspec
import zmq

from bench.rpc.driver.payload import METHODS, Params

Codec = tuple[Callable[[Any], bytes], Callable[[bytes], Any]]


def codec(name: str) -> Codec:
    if name == "msgspec":
        return msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
    return msgpack.Packer().pack, msgpack.unpackb


def serve(variant: str, ready: Callable[[str], None]) -> None:
    encode, decode = codec(variant)
    socket = zmq.Context().socket(zmq.ROUTER)
    ready(f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}")
    receive, send = socket.recv, socket.send
    while True:
        identity = receive()
        request = decode(receive())
        answer = METHODS[request["method"]](request["params"])
        send(identity, zmq.SNDMORE)
        send(encode({"status": "okay", **answer}))


class Client:
    """A DEALER per thread."""

    def __init__(self, endpoint: str, variant: str) -> None:
        self._endpoint = endpoint
        self._codec = variant
        self._context = zmq.Context()

    @contextmanager
    def calling(self) -> Iterator[Callable[[str, Params], Any]]:
        encode, decode = codec(self._codec)
        with self._socket() as socket:
            send, receive = socket.send, socket.recv

            def call(method: str, params: Params) -> Any:
                send(encode({"method": method, "params": params}))
                return decode(receive())

            yield call

    @contextmanager
    def pipelining(self, in_flight: int) -> Iterator[Callable[[str, Params, int], list[Any]]]:
        encode, decode = codec(self._codec)
        with self._socket() as socket:
            send, receive = socket.send, socket.recv

            def make(method: str, params: Params, count: int) -> list[Any]:
                answers = []
                for _ in range(in_flight):
                    send(encode({"method": method, "params": params}))
                for _ in range(count - in_flight):
                    answers.append(decode(receive()))
                    send(encode({"method": method, "params": params}))
                for _ in range(in_flight):
                    answers.append(decode(receive()))
                return answers

            yield make

    @contextmanager
    def _socket(self) -> Iterator[zmq.Socket[bytes]]:
        with self._context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(self._endpoint)
            yield socket
