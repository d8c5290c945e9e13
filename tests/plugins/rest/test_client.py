"""The transport's connection: its pool, and how it fails. Nothing is tried again here; that is the client's part."""

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

import kato_transport as kt
from kato_transport.settings import Settings
from kato_transport_rest import pool

OKAY = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"status":"okay"}'


class Scripted:
    """A server that does, connection by connection, what its script says; `requests` are those it read."""

    def __init__(self, *script):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = []
        self.accepted = 0
        self._thread = threading.Thread(target=self._serve, args=(script,))
        self._thread.start()

    def _serve(self, script):
        for converse in script:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            with connection, suppress(ConnectionError):
                connection.settimeout(10)
                converse(self, connection)

    def read(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                return b""
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(body)
        return body

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def answers(*texts):
    """Answer one request after the other with these bytes, then hang up."""

    def converse(server, connection):
        for text in texts:
            if server.read(connection):
                connection.sendall(text)

    return converse


def reads_then_hangs_up(server, connection):
    server.read(connection)


def answers_then_hangs_up_on_the_next(server, connection):
    server.read(connection)
    connection.sendall(OKAY)
    server.read(connection)


@pytest.fixture
def scripted(scope):
    def scripted_(*script):
        server = Scripted(*script)
        scope.callback(server.close)
        return server

    return scripted_


class Bare:
    """One request over the connection for each call."""

    def __init__(self, endpoint, timeout_s=10.0, codec="msgpack", **options):
        settings = Settings.from_env({}).client_options(kt.registry().codec(codec), **options)
        self._connection = kt.registry().transport("rest").connect(endpoint, settings)
        self._timeout_s = timeout_s
        self.request, self.close = self._connection.request, self._connection.close

    def call(self, method, params=None, timeout_s=None, processor_id=""):
        wait_s = timeout_s or self._timeout_s
        return self.request(kt.Request(method, params or {}, processor_id, timeout_s=wait_s)).result(method)


@pytest.fixture
def connect(scope):
    def connect_(endpoint, **options):
        client = Bare(endpoint, **options)
        scope.callback(client.close)
        return client

    return connect_


@pytest.fixture
def serve_rest(scope):
    def serve_(served, **options):
        return scope.enter_context(kt.serve(served, "http://127.0.0.1:0", transport="rest", **options))

    return serve_


@contextmanager
def running(function, *args):
    outcome = []

    def run():
        try:
            outcome.append(function(*args))
        except Exception as exc:
            outcome.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    yield outcome
    thread.join()


# --- calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["msgpack", "json"])
def test_calls_go_through_with_every_codec(serve_rest, connect, codec):
    """MessagePack unless told."""
    server = serve_rest({"double": lambda value: {"value": value * 2}})
    client = connect(server.endpoint, codec=codec)
    assert client.call("double", {"value": "я"})["value"] == "яя"
    assert client.call("ping")["message"] == "pong"


def test_error_answers_come_back_as_answers(serve_rest, connect, processor):
    """With the code the server gave."""
    client = connect(serve_rest(processor).endpoint)
    answer = client.request(kt.Request("get_model", {"model_id": "none"}))
    assert answer.body["code"] == "not_found"
    with pytest.raises(kt.RemoteError, match="Model none not found"):
        client.call("get_model", {"model_id": "none"})


def test_a_server_of_several_processors_is_told_which(serve_rest, connect, processor, another_processor):
    """`processor_id`, as on every transport."""
    client = connect(serve_rest([processor, another_processor]).endpoint)
    assert client.call("get_name", processor_id="p2")["message"] == "Another"


def test_ipv6_is_spoken(scope, connect):
    """In brackets."""
    server = scope.enter_context(kt.serve({"m": dict}, "http://[::1]:0", transport="rest"))
    assert server.endpoint.startswith("http://[::1]:")
    assert connect(server.endpoint).call("m") == {"status": "okay"}


def test_many_calls_use_one_connection(scripted, connect):
    """It is kept."""
    server = scripted(answers(*[OKAY] * 10))
    client = connect(server.endpoint)
    for _ in range(10):
        client.call("m")
    assert server.accepted == 1


def test_threads_wait_for_a_connection_within_their_time(serve_rest, connect):
    """Never an error for being many; never more connections than allowed."""
    lock, together, most = threading.Lock(), [0], [0]

    def work():
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
        time.sleep(0.002)
        with lock:
            together[0] -= 1
        return {}

    client = connect(serve_rest({"work": work}, workers=16).endpoint, max_connections=3)
    threads = [threading.Thread(target=lambda: [client.call("work") for _ in range(10)]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 < most[0] <= 3


def test_who_gets_no_connection_in_time_has_timed_out(scripted, connect):
    """All are taken."""
    taken, release = threading.Event(), threading.Event()

    def hold(server, connection):
        server.read(connection)
        taken.set()
        release.wait(10)
        connection.sendall(OKAY)

    client = connect(scripted(hold).endpoint, max_connections=1)
    with running(client.call, "m") as first:
        assert taken.wait(10)
        with pytest.raises(kt.CallTimeout):
            client.call("m", timeout_s=0.05)
        release.set()
    assert first == [{"status": "okay"}]


# --- failures ---------------------------------------------------------------------------------------------------


def test_nobody_there_is_a_failed_connect_at_once(connect):
    """Nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(kt.ConnectFailed, match=endpoint):
        connect(endpoint, connect_timeout_s=10.0).call("m")
    assert time.monotonic() - started < 5


def test_a_host_that_takes_no_connection_is_given_up_in_time(connect):
    """`connect_timeout_s`; a full backlog stands for a host that drops packets."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        client = connect(f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout_s=0.1)
        with pytest.raises(kt.ConnectFailed, match=r"no connection within 0\.1 s"):
            client.call("m")


def test_an_unknown_host_is_a_failed_connect(connect):
    """`.invalid` never is one."""
    with pytest.raises(kt.ConnectFailed, match=r"host\.invalid"):
        connect("http://host.invalid:1").call("m")


def test_sending_and_waiting_have_one_deadline(scripted, connect):
    """What the request took to be sent is not to be waited for once more."""

    def take_late(server, connection):
        time.sleep(2.5)
        while connection.recv(1 << 20):
            pass

    client = connect(scripted(take_late).endpoint)
    began = time.monotonic()
    with pytest.raises(kt.CallTimeout):
        client.call("m", {"data": b"x" * 20_000_000}, timeout_s=3)
    assert time.monotonic() - began < 4.5


def test_no_answer_in_time_is_a_timeout(scripted, connect):
    """And the connection is not used again: its answer may come yet."""
    late = threading.Event()

    def too_late(server, connection):
        server.read(connection)
        late.wait(10)
        connection.sendall(OKAY)

    server = scripted(too_late, answers(OKAY))
    client = connect(server.endpoint)
    with pytest.raises(kt.CallTimeout):
        client.call("m", timeout_s=0.05)
    late.set()
    assert client.call("m") == {"status": "okay"}
    assert server.accepted == 2


def test_an_answer_that_trickles_has_the_calls_time_as_a_whole(scripted, connect):
    """Not for each byte."""
    gone = threading.Event()

    def trickle(server, connection):
        server.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        while not gone.wait(0.02):
            connection.sendall(b" ")

    client = connect(scripted(trickle).endpoint)
    started = time.monotonic()
    with pytest.raises(kt.CallTimeout):
        client.call("m", timeout_s=0.2)
    assert time.monotonic() - started < 5  # 20 s for all of it
    gone.set()


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_connection_that_breaks_after_sending_is_lost(scripted, connect, idempotent):
    """On a new connection nothing says that it did not run."""
    server = scripted(reads_then_hangs_up)
    with pytest.raises(kt.ConnectionLost):
        connect(server.endpoint).request(kt.Request("m", idempotent=idempotent))
    assert len(server.requests) == 1


def test_a_broken_answer_is_a_lost_connection(scripted, connect):
    """In the middle of its body."""
    server = scripted(answers(OKAY[:-5]))
    with pytest.raises(kt.ConnectionLost, match="in the middle"):
        connect(server.endpoint).request(kt.Request("m"))


def test_a_broken_chunked_answer_is_a_lost_connection(scripted, connect):
    """Likewise."""
    text = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a"'
    with pytest.raises(kt.ConnectionLost, match="in the middle"):
        connect(scripted(answers(text)).endpoint).request(kt.Request("m"))


def test_a_chunked_answer_is_read(scripted, connect):
    """Servers between may make one."""
    text = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = scripted(answers(text + b'a\r\n{"status":\r\n7\r\n"okay"}\r\n0\r\n\r\n', OKAY))
    client = connect(server.endpoint)
    assert client.call("m") == client.call("m") == {"status": "okay"}
    assert server.accepted == 1


def test_a_kept_connection_that_was_closed_meanwhile_is_not_used(scripted, connect):
    """Seen before sending, so even what is not idempotent goes through."""
    closed = threading.Event()

    def answers_and_ends(server, connection):
        server.read(connection)
        connection.sendall(OKAY)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    server = scripted(answers_and_ends, answers(OKAY))
    client = connect(server.endpoint)
    client.call("m")
    assert closed.wait(10)
    assert client.request(kt.Request("m")).body == {"status": "okay"}
    assert len(server.requests) == 2


def test_a_kept_connection_that_breaks_is_tried_again_where_it_does_no_harm(scripted, connect):
    """Once, on a new one."""
    server = scripted(answers_then_hangs_up_on_the_next, answers(OKAY))
    client = connect(server.endpoint)
    client.request(kt.Request("m", idempotent=True))
    assert client.request(kt.Request("m", idempotent=True)).body == {"status": "okay"}
    assert len(server.requests) == 3


def test_a_kept_connection_that_breaks_is_lost_where_it_may_have_run(scripted, connect):
    """`observe` is never sent twice."""
    server = scripted(answers_then_hangs_up_on_the_next)
    client = connect(server.endpoint)
    client.request(kt.Request("observe"))
    with pytest.raises(kt.ConnectionLost):
        client.request(kt.Request("observe"))
    assert len(server.requests) == 2


def test_a_connection_idle_for_long_is_not_trusted(scripted, connect, monkeypatch):
    """The server may hang up any moment."""
    monkeypatch.setattr(pool, "IDLE_S", -1.0)
    server = scripted(answers(OKAY), answers(OKAY))
    client = connect(server.endpoint)
    client.call("m")
    client.call("m")
    assert server.accepted == 2


def test_what_nobody_asked_for_ends_a_kept_connection(scripted, connect):
    """Else it would be taken for the next call's answer."""
    answered, sent = threading.Event(), threading.Event()

    def babbles(server, connection):
        server.read(connection)
        connection.sendall(OKAY)
        answered.wait(10)
        connection.sendall(OKAY.replace(b"okay", b"evil"))
        sent.set()
        server.read(connection)

    server = scripted(babbles, answers(OKAY))
    client = connect(server.endpoint)
    client.call("m")
    answered.set()
    assert sent.wait(10)
    assert client.call("m") == {"status": "okay"}
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]", "expected a map"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{", "not json"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", "text/html"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", "404"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n", "max_message_bytes"),
        (b"ZMTP and other nonsense\r\n\r\n", "does not speak HTTP"),
    ],
)
def test_an_answer_that_is_none_is_the_servers_fault(scripted, connect, text, match):
    """`RemoteProtocolError`; the connection is let go of."""
    server = scripted(answers(text), answers(OKAY))
    client = connect(server.endpoint, max_message_bytes=10_000)
    with pytest.raises(kt.RemoteProtocolError, match=match):
        client.call("m")
    assert client.call("m") == {"status": "okay"}


def test_a_chunked_answer_without_end_is_not_read_for_ever(scripted, connect):
    """Nobody said how long it is."""

    def floods(server, connection):
        server.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")

    with pytest.raises(kt.RemoteProtocolError, match="max_message_bytes"):
        connect(scripted(floods).endpoint, max_message_bytes=10_000).call("m")


@pytest.mark.parametrize(("params", "match"), [({"value": object()}, "msgpack"), ({"value": "x" * 2000}, "max_message_bytes")])
def test_what_cannot_be_sent_is_this_sides_fault(connect, params, match):
    """Nothing was sent; nobody has to be there."""
    with pytest.raises(kt.LocalProtocolError, match=match):
        connect("http://127.0.0.1:1", max_message_bytes=1000).call("m", params)


def test_the_servers_own_limit_is_an_answer(serve_rest, connect):
    """`too_large`, even though the client had not finished sending."""
    client = connect(serve_rest({"m": lambda value: {}}, max_message_bytes=1000).endpoint)
    with pytest.raises(kt.RemoteError) as caught:
        client.call("m", {"value": "x" * 5_000_000})
    assert caught.value.code == "too_large"
    assert client.call("ping")["message"] == "pong"


# --- closing ----------------------------------------------------------------------------------------------------


def test_a_closed_client_says_so(serve_rest, connect):
    """And may be closed again."""
    server = serve_rest({"m": dict})
    client = connect(server.endpoint)
    client.call("m")
    client.close()
    client.close()
    with pytest.raises(kt.ClientClosed):
        client.call("m")
    connection = kt.registry().transport("rest").connect(server.endpoint, kt.ClientOptions(codec=kt.registry().codec("json")))
    connection.close()
    with pytest.raises(kt.ClientClosed):
        connection.request(kt.Request("m"))


def test_closing_ends_calls_under_way(scripted, connect):
    """Both the one that waits for an answer and the one that waits for a connection."""
    read = threading.Event()

    def hold(server, connection):
        server.read(connection)
        read.set()
        connection.recv(1)

    client = connect(scripted(hold).endpoint, max_connections=1)
    with running(client.call, "m") as answering:
        assert read.wait(10)
        with running(client.call, "m") as waiting:
            client.close()
    assert isinstance(answering[0], kt.ClientClosed)
    assert isinstance(waiting[0], kt.ClientClosed)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_leaves_both_clients_working(serve_rest, connect):
    """The child has connections of its own."""
    client = connect(serve_rest({"pid": lambda: {"value": 1}}).endpoint)
    client.call("pid")
    child = os.fork()
    if child == 0:
        okay = all(client.call("pid")["value"] == 1 for _ in range(20))
        os._exit(0 if okay else 1)
    assert all(client.call("pid")["value"] == 1 for _ in range(20))
    assert os.waitpid(child, 0)[1] == 0
