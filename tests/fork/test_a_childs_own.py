"""What a child uses is its own: it opens sockets and threads anew, and lets go of them without touching its parent's."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import kato_transport as kt
from kato_transport.testing.sections.forking import fork, in_child
from kato_transport.testing.sections.leaks import DESCRIPTORS, descriptors
from kato_transport.testing.waiting import until

from .conftest import WAIT_S, Pair, use


def sockets() -> set[str]:
    """The sockets of this process, by inode: a child has its parent's, until it opens more."""
    return {link for link in descriptors().values() if link.startswith("socket:")}


@pytest.fixture
def others() -> set[str]:
    """The sockets of tests before this one: libzmq closes them on a thread of its own, whenever it comes to it."""
    return sockets()


@pytest.mark.skipif(not Path(DESCRIPTORS).exists(), reason="this system does not tell the open file descriptors")
def test_a_child_calls_over_sockets_of_its_own(others: set[str], pair: Pair) -> None:
    """The parent's stay as they are, in both processes; what the child opened is gone once it has closed its client."""
    parents = sockets() - others

    def call_and_close() -> None:
        inherited = sockets()
        use(pair.client)
        assert sockets() - inherited, "the child opened nothing"
        assert inherited <= sockets(), "the child closed sockets of its parent"
        pair.client.close()
        until(lambda: sockets() == inherited, "the child's own sockets were left open")

    assert in_child(call_and_close) == "fine"
    until(lambda: sockets() - others == parents, "the parent's sockets are not what they were")
    use(pair.client)
    assert sockets() - others == parents, "the parent had to connect anew"


def test_a_child_has_no_thread_but_those_it_starts_itself(pair: Pair) -> None:
    """And none once it has closed its client."""

    def use_and_close() -> None:
        alone = [threading.current_thread()]
        assert threading.enumerate() == alone
        use(pair.client)
        pair.client.close()
        until(lambda: threading.enumerate() == alone, f"threads were left: {threading.enumerate()}")

    threads = set(threading.enumerate())
    assert in_child(use_and_close) == "fine"
    assert set(threading.enumerate()) == threads
    use(pair.client)


@pytest.mark.parametrize("pair", ["improved"], indirect=True)
def test_a_child_is_another_client_to_the_server(pair: Pair) -> None:
    """It never speaks under its parent's name, or answers would go to whoever spoke last."""
    before = pair.server.stats()["clients"]
    assert in_child(lambda: use(pair.client)) == "fine"
    assert pair.server.stats()["clients"] == 2 * before


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
@pytest.mark.parametrize("transport", ["improved", "basic"])
def test_a_child_keeps_neither_a_port_of_its_parent_nor_a_connection_to_it(transport: str, scheme: str, tmp_path: Path) -> None:
    """While the child lives on, the parent's clients see it hang up, and the next server gets the port."""
    endpoint = "tcp://127.0.0.1:0" if scheme == "tcp" else f"ipc://{tmp_path}/kato.sock"
    with kt.serve({"echo": dict}, endpoint, transport=transport) as server, connected(server.endpoint) as observer, child():
        server.close()
        assert hangs_up(observer)
        with (
            kt.serve({"echo": lambda value: {"value": value}}, server.endpoint, transport=transport) as again,
            kt.connect(again.endpoint, transport=transport, timeout_s=WAIT_S) as client,
        ):
            use(client)


def hangs_up(observer: socket.socket) -> bool:
    """Wait for the end of what the server says; a `TimeoutError` where it does not come."""
    while observer.recv(4096):
        continue
    return True


@contextmanager
def connected(endpoint: str) -> Iterator[socket.socket]:
    """A bare connection that the server has begun to speak on, so that it has accepted it."""
    scheme, _, rest = endpoint.partition("://")
    host, _, port = rest.rpartition(":")
    with socket.socket(socket.AF_INET if scheme == "tcp" else socket.AF_UNIX) as observer:
        observer.settimeout(WAIT_S)
        observer.connect((host, int(port)) if scheme == "tcp" else rest)
        assert observer.recv(1)
        yield observer


@contextmanager
def child() -> Iterator[None]:
    """A child that lives through the block, and does nothing."""
    (is_ready, ready), (is_over, over) = os.pipe(), os.pipe()

    def live() -> None:
        os.close(over)
        os.write(ready, b"1")
        os.read(is_over, 1)

    living = fork(live)
    os.read(is_ready, 1)
    try:
        yield
    finally:
        os.write(over, b"1")
        assert living.ended() == "fine"
        for descriptor in (is_ready, ready, is_over, over):
            os.close(descriptor)
