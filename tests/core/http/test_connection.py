"""Connections as HTTP/1.1 has them: what is read from them, in which order it is answered, and when they end."""

import asyncio
import json
import socket
import threading
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

import pytest
from starlette.responses import Response

from kato_transport.http import listener
from kato_transport.http.application import Application
from kato_transport.http.exchange import Exchange
from kato_transport.http.routing import Route
from kato_transport.http.server import HttpServer

LIMIT = 1_000_000


def route(verb, path, handle):
    return Route(verb=verb, path=path, handle=handle, summary="", group="")


class Handlers:
    """What the routes below do; `held` requests wait until they are let go."""

    def __init__(self):
        self.entered, self.release = threading.Semaphore(0), threading.Event()
        self.bodies = []

    async def name(self, exchange):
        return {"name": exchange.names["name"]}

    async def held(self, exchange):
        self.entered.release()
        while not self.release.is_set():  # noqa: ASYNC110 -- an event of threads
            await asyncio.sleep(0.005)
        return {"held": True}

    async def body(self, exchange):
        self.bodies.append(await exchange.body())
        return {"size": len(self.bodies[-1])}

    async def two_lines(self, exchange):
        return Response("", headers={"x": "a\nset-cookie: b"})

    @property
    def routes(self):
        return [
            route("GET", "/name/{name}", self.name),
            route("GET", "/held", self.held),
            route("POST", "/body", self.body),
            route("GET", "/two-lines", self.two_lines),
        ]


@pytest.fixture
def handlers():
    return Handlers()


@pytest.fixture
def server(handlers, request):
    @asynccontextmanager
    async def app():
        yield Application(handlers.routes, lambda scope, receive, names: Exchange(scope, receive, names, LIMIT))

    server = HttpServer("http://127.0.0.1:0", app, drain_s=getattr(request, "param", 10.0))
    yield server
    handlers.release.set()
    server.close()


class Wire:
    """A bare connection, and the answers that come over it."""

    def __init__(self, sock):
        self.socket = sock
        self._rest = b""

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """Status, headers and JSON of the next answer; None once the server has hung up."""
        while b"\r\n\r\n" not in self._rest:
            if not self._more():
                return None
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        size = int(headers.get("content-length", 0))
        while len(self._rest) < size:
            assert self._more()
        body, self._rest = self._rest[:size], self._rest[size:]
        return int(first.split()[1]), headers, json.loads(body) if body else None

    def _more(self):
        piece = self.socket.recv(65536)
        self._rest += piece
        return bool(piece)


@pytest.fixture
def dial(server):
    @contextmanager
    def dial_():
        with socket.create_connection(("127.0.0.1", int(server.endpoint.rpartition(":")[2])), timeout=10) as sock:
            yield Wire(sock)

    return dial_


def get(path, *headers, version="1.1"):
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: x", *headers, "", ""]).encode()


def post(data, *headers):
    return "\r\n".join(["POST /body HTTP/1.1", "Host: x", f"Content-Length: {len(data)}", *headers, "", ""]).encode() + data


def until_refused(dial):
    try:
        while True:
            with dial():
                pass
    except ConnectionRefusedError:
        return


def test_requests_sent_at_once_are_answered_in_their_order(dial, handlers):
    """Pipelining: the slow first one does not let the others pass."""
    with dial() as wire:
        wire.send(get("/held") + b"".join(get(f"/name/{number}") for number in range(50)))
        assert handlers.entered.acquire(timeout=10)
        handlers.release.set()
        assert wire.answer()[2] == {"held": True}
        assert [wire.answer()[2]["name"] for _ in range(50)] == [str(number) for number in range(50)]


def test_a_request_that_comes_byte_by_byte_is_read(dial):
    """Wherever TCP cuts it."""
    with dial() as wire:
        for byte in get("/name/slow") + post(b"12345"):
            wire.send(bytes([byte]))
        assert [wire.answer()[2], wire.answer()[2]] == [{"name": "slow"}, {"size": 5}]


def test_what_follows_a_request_is_refused_after_its_answer(dial):
    """Nobody's answer is lost to garbage behind it."""
    with dial() as wire:
        wire.send(get("/name/first") + b"\x00\x01nonsense\r\n\r\n")
        assert wire.answer()[2] == {"name": "first"}
        last = wire.answer()
        assert last is None or last[0] == 400
        assert wire.answer() is None


def test_a_body_that_breaks_off_into_garbage_is_a_400(dial, handlers):
    """While its handler waits for the rest; it learns that there is none."""
    with dial() as wire:
        wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
        wire.send(b"nonsense\r\n")
        assert wire.answer()[0] == 400
        assert wire.answer() is None
    assert handlers.bodies == []


def test_a_client_that_asks_is_told_to_go_on(dial):
    """Expect: 100-continue, once its handler wants the body."""
    with dial() as wire:
        wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert wire.answer() == (100, {}, None)
        wire.send(b"12345" + get("/name/next"))
        assert [wire.answer()[2], wire.answer()[2]] == [{"size": 5}, {"name": "next"}]


@pytest.mark.parametrize("size", [1, 100_000, LIMIT])
def test_a_body_is_read_whole(dial, handlers, size):
    """However many pieces it comes in."""
    data = bytes(number % 251 for number in range(size))
    with dial() as wire:
        wire.send(post(data) + get("/name/next"))
        assert wire.answer()[2] == {"size": size}
        assert wire.answer()[2] == {"name": "next"}
    assert handlers.bodies == [data]


def test_chunks_with_trailers_are_a_body(dial, handlers):
    """What stands behind the last chunk is no header of the request."""
    with dial() as wire:
        wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nExpires: 0\r\n\r\n")
        assert wire.answer()[2] == {"size": 3}
        wire.send(get("/name/next"))
        assert wire.answer()[2] == {"name": "next"}


def test_a_large_body_that_nobody_reads_is_dropped(dial):
    """The connection goes on behind it."""
    with dial() as wire:
        wire.send(b"GET /name/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000 + get("/name/next"))
        assert [wire.answer()[2], wire.answer()[2]] == [{"name": "x"}, {"name": "next"}]


def test_length_and_chunks_together_are_refused(dial):
    """Two servers could disagree where such a request ends: smuggling."""
    with dial() as wire:
        wire.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert wire.answer()[0] == 400
        assert wire.answer() is None


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"x" * 1_000_000,
        b"GET /name/x HTTP/1.1\r\n" + b"x: y\r\n" * 200_000,
        b"GET /name/x HTTP/1.1\r\nx: " + b"y" * 1_000_000,
        b"POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 200_000,
    ],
)
def test_a_head_without_end_is_refused(dial, endless):
    """Instead of being kept in memory."""
    with dial() as wire:
        with suppress(ConnectionError):  # it has hung up already
            wire.send(endless)
        try:
            answer = wire.answer()
        except ConnectionError:  # the rest of what was sent made TCP throw the answer away
            answer = None
        assert answer is None or (answer[0], answer[2]["code"]) == (431, "too_large")


@pytest.mark.parametrize(
    "request_",
    [
        get("/name/x", "Connection: close"),
        get("/name/x", version="1.0"),
        get("/name/x", "Connection: keep-alive", version="1.0"),
    ],
)
def test_a_connection_that_is_not_used_again_is_closed(dial, request_):
    """And the answer says so."""
    with dial() as wire:
        wire.send(request_)
        status, headers, _ = wire.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert wire.answer() is None


def test_another_protocol_is_not_changed_to(dial):
    """As clients of HTTP/2 offer it: they are answered in this one, and go on with it."""
    with dial() as wire:
        wire.send(get("/name/x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk") * 2)
        assert [wire.answer()[0], wire.answer()[0]] == [200, 200]
        wire.send(get("/name/next"))
        assert wire.answer()[2] == {"name": "next"}


def test_a_header_with_a_line_s_end_is_not_sent(dial, caplog):
    """It would be two headers, the second of them whatever its author wanted."""
    with dial() as wire:
        wire.send(get("/two-lines"))
        status, headers, body = wire.answer()
        assert (status, body["code"]) == (500, "internal")
        assert "set-cookie" not in headers
    assert "a header of the answer has a line's end in it" in caplog.text


def test_every_answer_has_a_date(dial):
    """RFC 9110 asks it of a server with a clock."""
    with dial() as wire:
        wire.send(get("/name/x"))
        assert wire.answer()[1]["date"].endswith(" GMT")


def test_idle_connections_are_closed(monkeypatch, dial, handlers):
    """Those that never asked anything, too, or stopped in the middle of it; not those whose request is being answered."""
    monkeypatch.setattr(listener, "KEEP_ALIVE_S", -1)
    with dial() as silent, dial() as halting, dial() as busy:
        halting.send(b"GET /na")
        busy.send(get("/held"))
        assert handlers.entered.acquire(timeout=10)
        assert silent.answer() is None
        assert halting.answer() is None
        handlers.release.set()
        assert busy.answer()[2] == {"held": True}


def test_closing_hangs_up_after_the_answer(server, dial, handlers):
    """Of what is under way, that is; no other request can come any more."""
    with dial() as wire:
        wire.send(get("/held"))
        assert handlers.entered.acquire(timeout=10)
        server.stop()
        until_refused(dial)
        handlers.release.set()
        status, _, body = wire.answer()
        assert (status, body) == (200, {"held": True})
        assert wire.answer() is None


@pytest.mark.parametrize("server", [0.1], indirect=True)
def test_a_reader_that_stands_still_is_cut_off_at_the_end(server, dial, caplog):
    """Its answers do not keep a closing server."""
    with dial() as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send(get("/name/" + "x" * 50_000) * 200)
        server.close()
    assert "Traceback" not in caplog.text


@pytest.mark.usefixtures("many_descriptors")
def test_many_connections_at_once_are_all_answered(dial):
    """512 of them, each with a request under way."""
    names = [str(number) for number in range(512)]
    with ExitStack() as stack:
        wires = [stack.enter_context(dial()) for _ in names]
        for name, wire in zip(names, wires, strict=True):
            wire.send(get(f"/name/{name}"))
        assert [wire.answer()[2]["name"] for wire in wires] == names
