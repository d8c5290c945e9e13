"""Connections as HTTP/1.1 has them: what is read from them, in which order it is answered, and when they end."""

import asyncio
import json
import socket
import threading
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

import pytest
from starlette.responses import Response

from kato_transport.http import listener
from kato_transport.http.application import Application
from kato_transport.http.exchange import Exchange
from kato_transport.http.routing import Route
from kato_transport.http.server import HttpServer

LIMIT = 1_000_000
LARGE = 20_000_000
"""More than the system keeps for a client that does not read."""


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

    async def header(self, exchange):
        return Response("", headers={"x": f"a{exchange.names['end']}set-cookie: b"})

    async def status(self, exchange):
        return Response("{}", int(exchange.names["code"]))

    async def large(self, exchange):
        return Response(b"x" * LARGE)

    @property
    def routes(self):
        return [
            route("GET", "/name/{name}", self.name),
            route("GET", "/held", self.held),
            route("POST", "/body", self.body),
            route("GET", "/header/{end}", self.header),
            route("GET", "/status/{code}", self.status),
            route("GET", "/large", self.large),
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
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it was closed while it was dialled
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


def test_garbage_behind_requests_is_refused_after_their_answers(dial):
    """Nobody's answer is lost to what stands behind it."""
    with dial() as wire:
        wire.send(get("/name/x") * 3 + b"\x00\x01nonsense\r\n\r\n")
        assert [wire.answer()[0] for _ in range(4)] == [200, 200, 200, 400]
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


@pytest.mark.parametrize("codings", [["gzip, chunked"], ["chunked", "chunked"], ["identity"]])
def test_a_body_in_any_coding_but_chunks_is_refused(dial, handlers, codings):
    """Nobody here would undo it, and two servers could disagree where it ends."""
    lines = "".join(f"Transfer-Encoding: {coding}\r\n" for coding in codings)
    with dial() as wire:
        wire.send(f"POST /body HTTP/1.1\r\nHost: x\r\n{lines}\r\n0\r\n\r\n".encode())
        assert wire.answer()[0] == 400
        assert wire.answer() is None
    assert handlers.bodies == []


@pytest.mark.parametrize("hosts", ["", "Host: x\r\nHost: y\r\n"])
def test_a_request_without_one_host_is_refused(dial, hosts):
    """RFC 9112 asks it of a server; HTTP/1.0 had none."""
    with dial() as wire:
        wire.send(f"GET /name/x HTTP/1.1\r\n{hosts}\r\n".encode())
        status, _, body = wire.answer()
        assert (status, "Host" in body["message"]) == (400, True)
    with dial() as wire:
        wire.send(b"GET /name/x HTTP/1.0\r\n\r\n")
        assert wire.answer()[0] == 200


def test_a_target_with_a_fragment_is_refused(dial):
    """It is the client's own, and no part of a name."""
    with dial() as wire:
        wire.send(get("/name/a#b"))
        assert wire.answer()[0] == 400


def test_a_length_of_many_digits_is_read(dial):
    """More than Python makes a number of."""
    with dial() as wire:
        wire.send(f"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {'0' * 5000}3\r\n\r\nabc".encode())
        assert wire.answer()[2] == {"size": 3}


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


OFFER = ("Connection: Upgrade", "Upgrade: h2c")


@pytest.mark.parametrize(
    "request_",
    [
        post(get("/name/smuggled"), *OFFER),
        b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(get("/name/smuggled")), get("/name/smuggled")),
    ],
)
@pytest.mark.parametrize("step", [1, 100_000])
def test_a_request_that_offers_another_protocol_has_its_body(dial, handlers, request_, step):
    """It is not the next request."""
    data = request_ * 2 + get("/name/next")
    with dial() as wire:
        for start in range(0, len(data), step):
            wire.send(data[start : start + step])
        assert [wire.answer()[2] for _ in range(3)] == [{"size": len(get("/name/smuggled"))}] * 2 + [{"name": "next"}]
    assert handlers.bodies == [get("/name/smuggled")] * 2


def test_many_offers_of_another_protocol_are_all_answered(dial, caplog):
    """However many of them are read at once."""
    with dial() as wire:
        wire.send(get("/name/x", *OFFER) * 4000)
        assert [wire.answer()[0] for _ in range(4000)] == [200] * 4000
    assert "Traceback" not in caplog.text


def test_a_tunnel_is_not_dug(dial, handlers):
    """What a client sends into it is no request."""
    with dial() as wire:
        wire.send(b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n" + get("/held"))
        status, headers, _ = wire.answer()
        assert (status, headers["connection"]) == (404, "close")
        assert wire.answer() is None
    assert not handlers.entered.acquire(blocking=False)


def test_requests_behind_an_answer_that_is_not_read_are_left_to_tcp(dial):
    """They do not pile up here: the client cannot send on."""
    with dial() as wire:
        wire.send(get("/large"))
        wire.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            wire.send(get("/name/" + "x" * 50_000) * 1000)


def test_a_client_that_only_stops_sending_is_answered(dial, handlers):
    """To all that it asked, and the connection ends behind that."""
    with dial() as wire:
        wire.send(get("/held") + get("/name/next"))
        assert handlers.entered.acquire(timeout=10)
        wire.socket.shutdown(socket.SHUT_WR)
        handlers.release.set()
        assert [wire.answer()[2], wire.answer()[2]] == [{"held": True}, {"name": "next"}]
        assert wire.answer() is None


def test_a_client_that_stops_within_a_body_is_told_so(dial):
    """Its request cannot be done."""
    with dial() as wire:
        wire.send(post(b"12345")[:-1])
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.answer()[0] == 400
        assert wire.answer() is None


def test_an_answer_before_the_body_was_asked_for_is_the_last(dial):
    """Nobody could tell whether the client sends that body still."""
    with dial() as wire:
        wire.send(b"GET /name/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        status, headers, _ = wire.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert wire.answer() is None


@pytest.mark.parametrize("end", ["%0A", "%0D", "%0D%0A"])
def test_a_header_with_a_line_s_end_is_not_sent(dial, caplog, end):
    """It would be two headers, the second of them whatever its author wanted."""
    with dial() as wire:
        wire.send(get(f"/header/{end}"))
        status, headers, body = wire.answer()
        assert (status, body["code"]) == (500, "internal")
        assert "set-cookie" not in headers
    assert "a header of the answer has a line's end in it" in caplog.text


def test_a_status_without_a_name_is_sent(dial):
    """Whatever number a handler chose."""
    with dial() as wire:
        wire.send(get("/status/299") + get("/name/next"))
        assert [wire.answer()[0], wire.answer()[0]] == [299, 200]


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


def test_nothing_runs_behind_the_last_answer(server, dial, handlers):
    """The client was told that the connection ends: it will ask again elsewhere."""
    with dial() as wire:
        wire.send(get("/held") * 2)
        assert handlers.entered.acquire(timeout=10)
        server.stop()
        until_refused(dial)
        handlers.release.set()
        assert wire.answer()[1]["connection"] == "close"
        assert wire.answer() is None
    assert not handlers.entered.acquire(blocking=False)


def test_a_body_that_stops_coming_is_not_waited_for(monkeypatch, dial):
    """Its handler would wait for ever."""
    monkeypatch.setattr(listener, "KEEP_ALIVE_S", -1)
    with dial() as wire:
        wire.send(post(b"12345")[:-1])
        assert wire.answer() is None


def test_an_answer_that_nobody_reads_is_given_up(monkeypatch, server, dial):
    """Its connection would stay for ever."""
    monkeypatch.setattr(listener, "KEEP_ALIVE_S", -1)
    with dial() as wire:
        wire.send(get("/large"))
        assert wire.socket.recv(1)
        deadline = time.monotonic() + 20
        while server._listener.file_descriptors():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_slow_reader_is_not_given_up(monkeypatch, dial):
    """However long the whole takes: something of its answer is taken, every time."""
    monkeypatch.setattr(listener, "KEEP_ALIVE_S", 3)
    with dial() as wire:
        wire.send(get("/large"))
        left = LARGE
        while left > 0:
            piece = wire.socket.recv(400_000, socket.MSG_WAITALL)
            assert piece, f"given up with {left} bytes unread"
            left -= len(piece)
            time.sleep(0.1)  # which is what makes it slow


@pytest.mark.parametrize("server", [0.1], indirect=True)
def test_a_reader_that_stands_still_is_cut_off_at_the_end(server, dial, caplog):
    """Its answers do not keep a closing server."""
    with dial() as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send(get("/large"))
        assert wire.socket.recv(1)
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
