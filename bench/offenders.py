"""Clients that behave badly, for measurements and tests of what others notice of them.

An offence is a generator: each step is a little more of it, and closing the generator is leaving. Nothing here uses this
project's own clients: what ZeroMQ's would not do is written to a TCP connection by hand (ZMTP 3.0, RFC 23).
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import msgpack
import zmq

from kato_transport.testing.waiting import background

MIB: Final = 1024 * 1024
IN_FLIGHT: Final = 5_000
"""Requests of one flood."""
UNREAD: Final = 5_000
"""Answers that a slow reader has asked for before it goes on at leisure: more than any queue on the way holds."""

STEP_S = 0.01
WAIT_S = 20.0

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x05READY" + b"\x0bSocket-Type" + struct.pack("!I", 6) + b"DEALER"
_COMMAND, _LONG = 0x04, 0x02
_RESET = struct.pack("ii", 1, 0)

Steps = Generator[None, None, None]
Offence = Callable[[str], Steps]
Sock = zmq.Socket[bytes]


@contextmanager
def beside(offence: Offence, endpoint: str) -> Iterator[None]:
    """The offence goes on in a thread, from its first step on until the block ends."""
    going, ended = threading.Event(), threading.Event()

    def run() -> None:
        try:
            with closing(offence(endpoint)) as steps:
                for _ in steps:
                    going.set()
                    if ended.is_set():
                        return
        finally:
            going.set()

    offending = background(run)
    try:
        going.wait()
        yield
    finally:
        ended.set()
        offending.result()


# --- by ZeroMQ ----------------------------------------------------------------------------------------------------------


def slow_reader(endpoint: str) -> Steps:
    """Asks, and never reads an answer."""
    message = msgpack.packb({"method": "echo", "params": {"text": "x" * 2_000}})
    with _dealer(endpoint, rcvhwm=1, rcvbuf=4_096, sndhwm=0) as sock:
        for number in itertools.count():
            sock.send(message)
            if number >= UNREAD and number % 10 == 0:
                yield
                time.sleep(STEP_S)


def flood(endpoint: str) -> Steps:
    """One client that has thousands in flight; an answer that does not come is taken for dropped."""
    message = msgpack.packb({"method": "pooled", "params": {"text": "x"}})
    with _dealer(endpoint, rcvhwm=0, sndhwm=0) as sock:
        waiting = 0
        while True:
            for _ in range(IN_FLIGHT - waiting):
                sock.send(message)
            waiting = IN_FLIGHT - _read(sock)
            yield


def garbage(endpoint: str) -> Steps:
    """As many messages as go, none of which is a request."""
    messages = [[b"\xc1garbage"], [b"", b""], [b"x" * 300, b"y"], [b"z"] * 20, [msgpack.packb({"method": 7})]]
    with _dealer(endpoint, sndhwm=1_000) as sock:
        for message in itertools.cycle(messages):
            with suppress(zmq.Again):
                for _ in range(100):
                    sock.send_multipart(message, zmq.DONTWAIT)
            _read(sock)
            yield


def too_large(size: int) -> Offence:
    """Sends messages that are just within what is taken in, and waits for each to be refused."""
    message = bytes(size)

    def offence(endpoint: str) -> Steps:
        with _dealer(endpoint, sndhwm=1) as sock:
            while True:
                sock.send(message)
                while not sock.poll(int(STEP_S * 1000)):
                    yield
                sock.recv_multipart()
                yield

    return offence


@contextmanager
def _dealer(endpoint: str, **options: int) -> Iterator[Sock]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
        sock.linger = 0
        for name, value in options.items():
            setattr(sock, name, value)
        sock.connect(endpoint)
        yield sock


def _read(sock: Sock) -> int:
    """How many answers have come; waits a moment for the first."""
    read = 0
    if sock.poll(int(STEP_S * 1000)):
        with suppress(zmq.Again):
            while True:
                sock.recv_multipart(zmq.DONTWAIT)
                read += 1
    return read or IN_FLIGHT


# --- by hand ------------------------------------------------------------------------------------------------------------


def declares(size: int) -> Offence:
    """Announces frames of that size, sends a little of each, and comes back when it is cut off."""

    def offence(endpoint: str) -> Steps:
        while True:
            giant(endpoint, size, 64 * 1024)
            yield
            time.sleep(STEP_S)

    return offence


def sends(size: int) -> Offence:
    """Sends frames of that size, more than is taken in, and comes back when it is cut off."""

    def offence(endpoint: str) -> Steps:
        while True:
            giant(endpoint, size, size)
            yield

    return offence


def idle(connections: int) -> Offence:
    """Opens so many connections, and then says nothing on any of them."""

    def offence(endpoint: str) -> Steps:
        with ExitStack() as open_ones:
            for _ in range(connections):
                open_ones.enter_context(shaken_hands(endpoint))
            while True:
                yield
                time.sleep(STEP_S)

    return offence


def giant(endpoint: str, declared: int, sent: int) -> int:
    """Declare a frame of one size and send another: the bytes that went out before the peer hung up; `TimeoutError` where
    it does not."""
    with shaken_hands(endpoint) as sock:
        went = 0
        with suppress(ConnectionError):
            sock.sendall(struct.pack("!BQ", _LONG, declared))
            piece = bytes(MIB)
            while went < sent:
                went += sock.send(piece[: sent - went])
            while sock.recv(MIB):
                pass
        return went


@contextmanager
def shaken_hands(endpoint: str) -> Iterator[socket.socket]:
    """A TCP connection over which a DEALER could speak now; gone without a trace at the end of the block."""
    address = urlsplit(endpoint)
    with socket.create_connection((address.hostname, address.port), WAIT_S) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.sendall(_GREETING + bytes([_COMMAND, len(_READY)]) + _READY)
        said = b""
        while b"READY" not in said:
            said += sock.recv(256)
        yield sock
