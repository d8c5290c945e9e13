"""Compressed messages on real sockets: from hand-written peers, to them, and between clients and servers of each transport."""

from __future__ import annotations

import asyncio
import http.client
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import msgpack
import pytest
import zmq
import zstandard

import kato_transport as kt
from kato_transport.compression import COMPRESSIONS, EASY_BYTES, LEAST_BYTES, named

from .conftest import WAIT_S, Way

TEXT = "a sentence that comes again and again; " * LEAST_BYTES
LIMIT = 4 * 1024 * 1024
KINDS = {"basic": zmq.REQ, "improved": zmq.DEALER}


def echo(text: str = "", value: Any = None) -> dict[str, Any]:
    return {"text": text, "value": value}


def packed(name: str, message: Any) -> bytes:
    data = msgpack.packb(message)
    return zlib.compress(data) if name == "zlib" else zstandard.ZstdCompressor().compress(data)


def unpacked(data: bytes) -> Any:
    plain = {"zlib": zlib.decompress, "zstd": zstandard.ZstdDecompressor().decompress, "": bytes}[named(data)]
    return msgpack.unpackb(plain(data))


class RawClient:
    """A socket, and nothing of this project's clients."""

    def __init__(self, kind: int, endpoint: str) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(kind)
        self.socket.linger = 0
        self.socket.connect(endpoint)

    def ask(self, data: bytes) -> bytes:
        self.socket.send(data)
        assert self.socket.poll(int(WAIT_S * 1000)), "no answer came"
        (answer,) = self.socket.recv_multipart()
        return bytes(answer)

    def close(self) -> None:
        self.context.destroy(linger=0)


class RawServer:
    """Answers each message with what it is told, and keeps what came; its `ping` names the features it is given."""

    def __init__(self, kind: int, features: list[str]) -> None:
        self.features = features
        self.came: list[bytes] = []
        self.answer: bytes = msgpack.packb({"status": "okay"})
        self.context = zmq.Context()
        self.socket = self.context.socket(kind)
        self.socket.linger = 0
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.context.destroy(linger=0)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self.socket.poll(10):
                *envelope, data = self.socket.recv_multipart()
                pong = msgpack.packb({"status": "okay", "message": "pong", "features": self.features})
                is_ping = unpacked(data).get("method") == "ping"
                if not is_ping:
                    self.came.append(data)
                self.socket.send_multipart([*envelope, pong if is_ping else self.answer])


@pytest.fixture(params=KINDS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def raw(closing: ExitStack) -> Callable[[str, str], RawClient]:
    def made(transport: str, endpoint: str) -> RawClient:
        client = RawClient(KINDS[transport], endpoint)
        closing.callback(client.close)
        return client

    return made


@pytest.fixture
def raw_server(transport: str) -> Iterator[RawServer]:
    server = RawServer({"basic": zmq.REP, "improved": zmq.ROUTER}[transport], ["correlation", *COMPRESSIONS])
    yield server
    server.close()


def test_a_server_names_the_compressions_it_can(way: str, serve: Callable[..., Way]) -> None:
    """In the answer to a ping."""
    with serve(way, {"echo": echo}).connect() as client:
        assert set(COMPRESSIONS) <= set(client.call("ping")["features"])


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_server_reads_compressed_requests_and_compresses_where_it_is_asked_to(
    name: str, transport: str, serve: Callable[..., Way], raw: Callable[[str, str], RawClient]
) -> None:
    """Large answers only, and only then: an old client would not know what came."""
    client = raw(transport, serve(transport, {"echo": echo}).endpoint)
    request = {"method": "echo", "params": {"text": TEXT}}
    plain = client.ask(packed(name, request))
    assert named(plain) == ""
    assert msgpack.unpackb(plain)["text"] == TEXT
    answer = client.ask(msgpack.packb({**request, "accept": name}))
    assert named(answer) == name
    assert len(answer) < len(plain) / 10
    assert unpacked(answer)["text"] == TEXT
    small = client.ask(msgpack.packb({"method": "echo", "params": {"text": "small"}, "accept": name}))
    assert named(small) == ""
    assert named(client.ask(msgpack.packb({**request, "accept": "gzip"}))) == ""


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_bombs_and_broken_messages_cost_their_sender_an_error(
    name: str, transport: str, serve: Callable[..., Way], raw: Callable[[str, str], RawClient]
) -> None:
    """And the server goes on."""
    client = raw(transport, serve(transport, {"echo": echo}, max_message_bytes=LIMIT).endpoint)
    bomb = packed(name, {"method": "echo", "params": {"text": "x" * (2 * LIMIT)}})
    good = packed(name, {"method": "echo", "params": {"text": TEXT[: LIMIT // 2]}})
    said = msgpack.unpackb(client.ask(bomb))
    assert (said["code"], "when it is unpacked" in said["message"]) == ("too_large", True)
    for broken in (good[:-1], good[: len(good) // 2], good + b"!", good * 2):
        said = msgpack.unpackb(client.ask(broken))
        assert said["code"] == "invalid_params"
        assert said["message"].startswith(f"message is not {name}: ")
    assert msgpack.unpackb(client.ask(good))["text"] == TEXT[: LIMIT // 2]


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_connection_compresses_large_requests_and_asks_for_compressed_answers(
    name: str, transport: str, raw_server: RawServer
) -> None:
    """As the request says; small ones go as they are."""
    raw_server.answer = packed(name, {"status": "okay", "text": TEXT})
    connection = Way(raw_server.endpoint, transport).connection()
    try:
        for text in (TEXT, "small"):
            request = kt.Request("echo", {"text": text}, timeout_s=WAIT_S, compression=name, accept=name)
            assert connection.request(request).body["text"] == TEXT
        connection.request(kt.Request("echo", {"text": TEXT}, timeout_s=WAIT_S))
    finally:
        connection.close()
    assert [named(data) for data in raw_server.came] == [name, "", ""]
    assert [unpacked(data).get("accept") for data in raw_server.came] == [name, name, None]


def test_an_answer_that_would_come_to_more_than_is_taken_is_the_peers_mistake(transport: str, raw_server: RawServer) -> None:
    """And the connection can be used on."""
    connection = Way(raw_server.endpoint, transport).connection(max_message_bytes=LIMIT)
    try:
        for name in COMPRESSIONS:
            raw_server.answer = packed(name, {"status": "okay", "text": "x" * 2 * LIMIT})
            with pytest.raises(kt.RemoteProtocolError, match="when it is unpacked"):
                connection.request(kt.Request("echo", timeout_s=WAIT_S, accept=name))
        raw_server.answer = msgpack.packb({"status": "okay"})
        assert connection.request(kt.Request("echo", timeout_s=WAIT_S)).body == {"status": "okay"}
    finally:
        connection.close()


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_large_messages_come_through_compressed_both_ways(name: str, way: str, serve: Callable[..., Way]) -> None:
    """Over every transport and the gateway; by each of a connection's ways to call."""
    connection = serve(way, {"echo": echo}).connection()
    request = kt.Request("echo", {"text": TEXT}, timeout_s=WAIT_S, compression=name, accept=name)
    try:
        assert connection.request(request).body["text"] == TEXT
        if hasattr(connection, "submit"):
            submitted: Future[kt.Response] = connection.submit(request)
            assert submitted.result(WAIT_S).body["text"] == TEXT
            assert [answer.body["text"] for answer in connection.request_many([request] * 3)] == [TEXT] * 3
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["", *COMPRESSIONS])
def test_a_client_that_is_told_to_compress_gets_its_answers(name: str, way: str, serve: Callable[..., Way]) -> None:
    """Whatever it makes of that with this server."""
    served = serve(way, {"echo": echo})
    with served.connect(compression=name) as client:
        assert client.call("echo", {"text": TEXT})["text"] == TEXT
        assert client.submit("echo", {"text": TEXT}).result(WAIT_S)["text"] == TEXT
        answers = client.call_many([("echo", {"text": TEXT})] * 3)
        assert [answer["text"] for answer in answers if isinstance(answer, dict)] == [TEXT] * 3

    async def run() -> None:
        async with served.aconnect(compression=name) as client:
            assert (await client.call("echo", {"text": TEXT}))["text"] == TEXT

    asyncio.run(run())


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("transport", ["improved"], indirect=True)
def test_an_improved_client_finds_out_by_itself_what_the_server_can_read(
    name: str, transport: str, raw_server: RawServer
) -> None:
    """For each way to call; another server may be there later, that cannot."""
    raw_server.answer = packed(name, {"status": "okay", "text": TEXT})
    way = Way(raw_server.endpoint, transport)
    with way.connect(compression=name, copies=1) as client:
        assert client.call("get_stm", {"text": TEXT})["text"] == TEXT
        assert client.submit("echo", {"text": TEXT}).result(WAIT_S)["text"] == TEXT
        assert client.call_many([("echo", {"text": TEXT})])[0] == {"status": "okay", "text": TEXT}
    assert [named(data) for data in raw_server.came] == [name] * 3
    assert {unpacked(data)["accept"] for data in raw_server.came} == {name}
    raw_server.features.remove(name)
    with way.connect(compression=name, copies=1) as client:
        client.call("get_stm", {"text": TEXT})
        client.submit("echo", {"text": TEXT}).result(WAIT_S)
    assert [named(data) for data in raw_server.came[3:]] == ["", ""]


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_over_http_a_compressed_body_is_told_by_its_coding(name: str, serve: Callable[..., Way]) -> None:
    """In HTTP's own words, both ways."""
    parts = urlsplit(serve("gateway", {"echo": echo}).endpoint)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=WAIT_S)
    coding = {"zlib": "deflate", "zstd": "zstd"}[name]
    headers = {"content-type": "application/msgpack", "content-encoding": coding}
    try:
        body = packed(name, {"method": "echo", "params": {"text": TEXT}, "accept": name})
        connection.request("POST", "/kato-api/call", body, headers)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("content-encoding")) == (200, coding)
        assert unpacked(answer.read())["text"] == TEXT
        connection.request("POST", "/kato-api/call", body[:-1], headers)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("content-encoding")) == (400, None)
        assert msgpack.unpackb(answer.read())["code"] == "invalid_params"
    finally:
        connection.close()


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_what_could_be_packed_too_hard_comes_through_both_ways_as_it_is(name: str, way: str, serve: Callable[..., Way]) -> None:
    """Far beneath the limit: what would be refused is not sent."""
    monotonous = "x" * (EASY_BYTES + 1)
    with serve(way, {"echo": echo}).connect(compression=name) as client:
        assert client.call("echo", {"text": monotonous})["text"] == monotonous


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_request_that_is_packed_too_hard_is_too_large(
    name: str, transport: str, serve: Callable[..., Way], raw: Callable[[str, str], RawClient]
) -> None:
    """Far beneath the limit; the server goes on."""
    client = raw(transport, serve(transport, {"echo": echo}).endpoint)
    said = msgpack.unpackb(client.ask(packed(name, {"method": "echo", "params": {"text": "x" * 10 * EASY_BYTES}})))
    assert (said["code"], "when it is unpacked" in said["message"]) == ("too_large", True)
    assert msgpack.unpackb(client.ask(packed(name, {"method": "echo"})))["status"] == "okay"


def test_over_http_a_bomb_is_too_large(serve: Callable[..., Way]) -> None:
    """413, and nothing of it is called."""
    ran: list[str] = []
    parts = urlsplit(serve("rest", {"note": lambda text: ran.append(text) or {}}, max_message_bytes=LIMIT).endpoint)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=WAIT_S)
    try:
        for name in COMPRESSIONS:
            body = packed(name, {"method": "note", "params": {"text": "x" * 2 * LIMIT}})
            connection.request("POST", "/kato-api/call", body, {"content-type": "application/msgpack"})
            answer = connection.getresponse()
            assert (answer.status, b"when it is unpacked" in answer.read()) == (413, True)
    finally:
        connection.close()
    assert ran == []
