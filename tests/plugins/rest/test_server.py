"""Binding and closing a gateway."""

import contextlib
import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import kato_transport as kt


def serve(endpoint, served=lambda request: kt.Response.okay(), **options):
    return kt.serve(served, endpoint, transport="rest", **options)


def open_sockets():
    return sum(os.readlink(f"/proc/self/fd/{fd}").startswith("socket:") for fd in os.listdir("/proc/self/fd") if _readable(fd))


def _readable(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
def test_the_endpoint_is_as_bound(host, open_web, scope):
    """So port 0 has become the real one."""
    server = scope.enter_context(serve(f"http://{host}:0"))
    assert server.endpoint.rpartition(":")[2] != "0"
    assert open_web(server.endpoint.replace("0.0.0.0", "127.0.0.1")).get("/healthz").status == 200


def test_a_port_in_use_is_a_clear_error():
    """Naming the endpoint and the way out."""
    with serve("http://127.0.0.1:0") as server, pytest.raises(kt.BindFailed) as caught:
        serve(server.endpoint)
    assert server.endpoint in str(caught.value)
    assert "another program has that port" in str(caught.value)


def test_an_address_of_another_host_is_a_clear_error():
    """TEST-NET-1 is nobody's."""
    with pytest.raises(kt.BindFailed, match="no address of this host"):
        serve("http://192.0.2.1:0")


def test_a_port_that_may_not_be_taken_is_a_clear_error(monkeypatch):
    """As for an ordinary user below 1024."""

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(kt.BindFailed, match="this user may not take that port"):
        serve("http://127.0.0.1:80")


def test_a_host_that_does_not_exist_is_a_clear_error():
    """`.invalid` never does."""
    with pytest.raises(kt.BindFailed, match=r"http://host\.invalid:0"):
        serve("http://host.invalid:0")


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://127.0.0.1:1",
        "127.0.0.1:1",
        "http://",
        "http://:80",
        "http://h:port",
        "http://h:99999",
        "http://h/path",
        "http://user@h:1",
        "http://h:1?query",
        "https://h:1",
    ],
)
@pytest.mark.parametrize("verb", ["serve", "connect"])
def test_an_endpoint_that_cannot_be_read_is_an_invalid_setting(endpoint, verb):
    """Servers and clients read the same ones."""
    with pytest.raises(kt.InvalidSetting, match="endpoint"):
        serve(endpoint) if verb == "serve" else kt.connect(endpoint, transport="rest")


def test_https_is_refused_with_the_way_out():
    """TLS ends at a proxy."""
    with pytest.raises(kt.InvalidSetting, match="put a proxy in front"):
        serve("https://127.0.0.1:0")


def test_closing_leaves_no_thread_and_no_socket(open_web):
    """Whatever connections were open."""
    before = set(threading.enumerate()), open_sockets()
    server = serve("http://127.0.0.1:0", workers=2)
    webs = [open_web(server.endpoint) for _ in range(5)]
    assert all(web.get("/p/gene/x").status == 404 for web in webs)
    server.close()
    for web in webs:
        web.close()
    assert (set(threading.enumerate()), open_sockets()) == before


def test_closing_is_prompt_and_may_be_repeated(open_web):
    """Idle connections hold nothing up."""
    server = serve("http://127.0.0.1:0", drain_s=30)
    open_web(server.endpoint).get("/healthz")
    started = time.monotonic()
    server.close()
    server.close()
    assert time.monotonic() - started < 3
    with pytest.raises(ConnectionRefusedError):
        open_web(server.endpoint).get("/healthz")


def test_the_port_is_free_again_at_once(open_web):
    """For the next server."""
    server = serve("http://127.0.0.1:0")
    open_web(server.endpoint).get("/healthz")
    server.close()
    with serve(server.endpoint) as again:
        assert open_web(again.endpoint).get("/healthz").status == 200


class Held:
    """A service whose calls wait for `release`."""

    def __init__(self):
        self.entered, self.release = threading.Event(), threading.Event()

    def __call__(self, request):
        self.entered.set()
        self.release.wait(10)
        return kt.Response.okay(gene_value="done")


@contextlib.contextmanager
def asked(endpoint, held):
    """A request under way on a thread of its own; gives where its outcome will be."""
    outcome = []

    def ask():
        connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=10)
        try:
            connection.request("GET", "/p/gene/x")
            outcome.append(connection.getresponse().status)
        except OSError as exc:
            outcome.append(exc)
        finally:
            connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    assert held.entered.wait(10)
    yield outcome
    held.release.set()
    thread.join()


def test_closing_waits_for_requests_under_way():
    """Within the drain time; new connections are refused meanwhile."""
    held = Held()
    server = serve("http://127.0.0.1:0", held, drain_s=10)
    with asked(server.endpoint, held) as outcome:
        closing = threading.Thread(target=server.close)
        closing.start()
        _until_refused(server.endpoint)
        assert outcome == []
        held.release.set()
        closing.join()
    assert outcome == [200]


def _until_refused(endpoint):
    host, port = endpoint.removeprefix("http://").split(":")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return
    pytest.fail("the server goes on accepting connections")


def test_what_outlasts_the_drain_time_is_hung_up_on(caplog):
    """Without an answer: it may have run. Nothing of it is logged as a failure."""
    held = Held()
    server = serve("http://127.0.0.1:0", held, drain_s=0.05)
    with asked(server.endpoint, held) as outcome:
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < 5
    assert isinstance(outcome[0], ConnectionError)
    assert "1 requests unanswered" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_gateway_closes_its_upstream_in_its_own_loop(gateway):
    """Once."""
    closed = []

    class Upstream:
        async def request(self, request):
            return kt.Response.okay()

        async def close(self):
            closed.append(threading.current_thread().name)

    web = gateway(Upstream)
    web.server.close()
    web.server.close()
    assert closed == ["kato-rest"]


QUIET = """
import logging, signal, sys
import kato_transport as kt
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
with kt.serve({"m": dict}, "http://127.0.0.1:0", transport="rest") as server:
    with kt.connect(server.endpoint, transport="rest") as client:
        client.call("m")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
assert not logging.root.handlers
"""


def test_serving_configures_no_logging_prints_nothing_and_leaves_signals_alone():
    """A library is a guest in its process."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", QUIET], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_log_is_this_librarys_own(caplog, open_web):
    """Not asyncio's, nor a parser's."""
    caplog.set_level(logging.DEBUG)
    with serve("http://127.0.0.1:0") as server:
        web = open_web(server.endpoint)
        web.get("/healthz")
        with web.raw() as raw:
            raw.send(b"nonsense\r\n\r\n")
            raw.answer()
    assert {record.name for record in caplog.records} <= {"kato_transport.http", "asyncio", "environ_config"}
    assert "Invalid HTTP request" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_keeps_neither_the_port_nor_a_connection(open_web):
    """Clients of the parent see it hang up, and the next server gets the port, while the child lives on."""
    server = serve("http://127.0.0.1:0")
    web = open_web(server.endpoint)
    web.get("/healthz")
    forked, tell = os.pipe()
    child = os.fork()
    if child == 0:
        server.close()
        os.write(tell, b"1")
        signal.pause()
        os._exit(1)
    try:
        assert os.read(forked, 1) == b"1"
        assert web.get("/healthz").status == 200
        server.close()
        assert web.connection.sock.recv(1) == b""
        with serve(server.endpoint) as again:
            assert open_web(again.endpoint).get("/healthz").status == 200
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(forked)
        os.close(tell)
