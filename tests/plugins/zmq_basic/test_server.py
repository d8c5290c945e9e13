"""The REP server: whatever it is sent, and whatever its service does, it goes on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

import kato_transport as kt

WAIT_S = 5.0


def ask(endpoint: str, message: bytes) -> bytes:
    """One exchange over a raw REQ socket."""
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger = 0
        socket.connect(endpoint)
        socket.send(message)
        assert socket.poll(int(WAIT_S * 1000)), "no answer"
        return socket.recv()


@pytest.fixture
def serve() -> Iterator[Callable[..., kt.RunningServer]]:
    """Serves what it is given; closed at the end."""
    made: list[kt.RunningServer] = []

    def start(served: Any, **options: Any) -> kt.RunningServer:
        made.append(kt.serve(served, "tcp://127.0.0.1:0", transport="basic", **{"drain_s": 1.0, **options}))
        return made[-1]

    yield start
    for server in made:
        server.close()


SILENT = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
"""A server's thread that dies is what these tests find, by the answer that does not come."""


@SILENT
@pytest.mark.parametrize(
    "answer",
    [None, {"status": "okay"}, "okay", kt.Response(None), kt.Response({"value": object()})],  # type: ignore[arg-type]
    ids=["nothing", "a dict", "text", "an empty response", "what no codec carries"],
)
def test_a_service_that_answers_nonsense_does_not_end_the_server(serve: Callable[..., kt.RunningServer], answer: Any) -> None:
    """Its caller hears of it, and the next one is served."""
    server = serve(lambda request: answer if request.method == "odd" else kt.Response.okay())
    with kt.connect(server.endpoint, transport="basic", timeout_s=WAIT_S) as client:
        with pytest.raises(kt.RemoteError) as raised:
            client.call("odd")
        assert raised.value.code == "internal"
        assert client.call("even")["status"] == "okay"


@SILENT
def test_a_handler_that_would_leave_the_process_does_not_end_the_server(serve: Callable[..., kt.RunningServer]) -> None:
    """`sys.exit` in a thread ends the thread, and this server has the one."""
    server = serve({"leave": lambda: sys.exit(1), "stay": dict})
    with kt.connect(server.endpoint, transport="basic", timeout_s=WAIT_S) as client:
        with pytest.raises(kt.RemoteError):
            client.call("leave")
        assert client.call("stay")["status"] == "okay"


@SILENT
def test_a_number_beyond_all_floats_does_not_end_the_server(serve: Callable[..., kt.RunningServer]) -> None:
    """JSON can spell one."""
    server = serve({"m": dict}, codec="json")
    answer = ask(server.endpoint, b'{"method": "m", "timeout_s": 1' + b"0" * 400 + b"}")
    assert b'"error"' in answer
    assert b'"okay"' in ask(server.endpoint, b'{"method": "m"}')


def test_it_counts_requests_and_malformed_messages(serve: Callable[..., kt.RunningServer]) -> None:
    """Heartbeats are neither."""
    server = serve({"m": dict}, codec="json")
    for message in (b'{"method": "m"}', b"garbage", b'{"type": "heartbeat"}', b'{"method": "none"}'):
        ask(server.endpoint, message)
    stats = server.stats()
    assert (stats["requests"], stats["malformed"]) == (2, 1)


def test_it_answers_what_it_has_begun_before_it_goes(serve: Callable[..., kt.RunningServer]) -> None:
    """Within the drain time, and leaves no thread."""
    started, gate = threading.Event(), threading.Event()
    server = serve({"hold": lambda: started.set() or (gate.wait(WAIT_S) and {})}, drain_s=WAIT_S)
    with kt.connect(server.endpoint, transport="basic", timeout_s=WAIT_S) as client:
        held = client.submit("hold")
        assert started.wait(WAIT_S)
        closer = threading.Thread(target=server.close)
        closer.start()
        gate.set()
        assert held.result(WAIT_S)["status"] == "okay"
        closer.join(WAIT_S)
    assert "kato-basic-server" not in [thread.name for thread in threading.enumerate()]
