"""The fault proxy does what a test tells it to, and nothing else."""

import socket
import threading
import time

import pytest

from kato_transport.testing import FaultProxy

BOUND_S = 5.0


@pytest.fixture
def server():
    """A listener; a test accepts the connection that the proxy makes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(BOUND_S)
        yield listener


@pytest.fixture
def proxy(server):
    with FaultProxy(*server.getsockname()) as proxy:
        yield proxy


@pytest.fixture
def ends(server, proxy):
    """Both ends of a connection through the proxy: client, server."""
    with socket.create_connection(("127.0.0.1", proxy.port), BOUND_S) as client:
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(BOUND_S)
            yield client, accepted


def receive(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError(data)
        data += part
    return data


def test_bytes_pass_both_ways(ends):
    """Unchanged, and in order."""
    client, server = ends
    payload = bytes(range(256)) * 4000
    sender = threading.Thread(target=client.sendall, args=(payload,))
    sender.start()
    assert receive(server, len(payload)) == payload
    sender.join()
    server.sendall(b"answer")
    assert receive(client, 6) == b"answer"


@pytest.mark.parametrize("closer", [0, 1], ids=["client", "server"])
def test_the_end_of_one_side_reaches_the_other(ends, closer):
    """Whoever ends it."""
    ends[closer].close()
    assert ends[1 - closer].recv(1) == b""


def test_a_cut_is_a_reset_for_both(proxy, ends):
    """Not an orderly end; and the next connection is taken."""
    proxy.cut()
    for side in ends:
        with pytest.raises(ConnectionResetError):
            side.recv(1)
    socket.create_connection(("127.0.0.1", proxy.port), BOUND_S).close()


def test_a_half_closed_connection_still_carries_the_clients_words(proxy, ends):
    """The client hears the end, the server does not."""
    client, server = ends
    proxy.half_close()
    assert client.recv(1) == b""
    client.sendall(b"still here")
    assert receive(server, 10) == b"still here"


def test_what_is_stalled_comes_later(proxy, ends):
    """Nothing is lost, and the other direction is not touched."""
    client, server = ends
    proxy.up.stall()
    client.sendall(b"late")
    server.sendall(b"other way")
    assert receive(client, 9) == b"other way"
    server.settimeout(0.05)
    with pytest.raises(TimeoutError):
        server.recv(1)
    server.settimeout(BOUND_S)
    proxy.up.flow()
    assert receive(server, 4) == b"late"


def test_what_is_dropped_never_comes(proxy, ends):
    """What is sent afterwards does."""
    client, server = ends
    proxy.up.drop()
    client.sendall(b"lost")
    deadline = time.monotonic() + BOUND_S
    while proxy.up.seen < 4 and time.monotonic() < deadline:
        time.sleep(0.002)
    proxy.up.flow()
    client.sendall(b"found")
    assert receive(server, 5) == b"found"


def test_a_delay_and_a_rate_take_their_time(proxy, ends):
    """Both add up, and the bytes are right."""
    client, server = ends
    proxy.down.delay_s, proxy.down.bytes_per_s, proxy.down.piece_bytes = 0.05, 10_000, 100
    started = time.monotonic()
    server.sendall(b"x" * 1000)
    assert receive(client, 1000) == b"x" * 1000
    assert time.monotonic() - started >= 0.05 + 0.09


def test_a_server_that_is_gone_ends_the_connection(server):
    """At once, as nobody can be reached behind the proxy."""
    with FaultProxy(*server.getsockname()) as proxy:
        server.close()
        with socket.create_connection(("127.0.0.1", proxy.port), BOUND_S) as client:
            assert client.recv(1) == b""


def test_closing_ends_everything_and_may_be_repeated(proxy, ends):
    """Connections, listener and threads, even while something is stalled."""
    client, _ = ends
    proxy.up.stall()
    client.sendall(b"never")
    proxy.close()
    proxy.close()
    assert client.recv(1) == b""
    assert not [thread for thread in threading.enumerate() if thread.name == "kato-testing-proxy"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", proxy.port), BOUND_S)
