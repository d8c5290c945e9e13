"""What the conformance kit cannot know: socket files, raw bytes, and clients that do not read."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from acme_kato_unix.frames import HEADER

import kato_transport as kt
from kato_transport.testing.waiting import until

LIMIT = 64 * 1024


def echo(value: Any) -> dict[str, Any]:
    return {"value": value}


def serve(path: Path) -> kt.RunningServer:
    return kt.serve({"echo": kt.inline(echo)}, f"unix://{path}", transport="unix", max_message_bytes=LIMIT)


def answers(path: Path, value: str) -> bool:
    with kt.connect(f"unix://{path}", transport="unix") as client:
        return bool(client.call("echo", {"value": value})["value"] == value)


def frame(message: bytes, number: int = 1) -> bytes:
    return HEADER.pack(len(message), number) + message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kato.sock"


@pytest.fixture
def server(path: Path) -> Iterator[kt.RunningServer]:
    with serve(path) as server:
        yield server


@pytest.fixture
def stranger(server: kt.RunningServer, path: Path) -> Iterator[socket.socket]:
    """A peer of the server that speaks raw bytes."""
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(10)
        stranger.connect(str(path))
        yield stranger


def test_the_socket_file_is_there_as_long_as_the_server(path: Path) -> None:
    """Made when it starts, removed when it closes."""
    with serve(path):
        assert path.is_socket()
    assert not path.exists()


def test_a_stale_socket_file_is_replaced(path: Path) -> None:
    """A server that was killed cannot clean up; the next one does."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with serve(path):
        assert answers(path, "anew")


def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    """`BindFailed`, and whoever needs the file still has it."""
    path.write_text("precious")
    with pytest.raises(kt.BindFailed):
        serve(path)
    assert path.read_text() == "precious"


def test_a_missing_folder_is_bind_failed(tmp_path: Path) -> None:
    """The message says where and why."""
    with pytest.raises(kt.BindFailed, match=r"missing/kato\.sock: No such file or directory"):
        serve(tmp_path / "missing" / "kato.sock")


def test_a_server_leaves_another_ones_socket_file_alone(path: Path) -> None:
    """Somebody removed the file and serves there now: closing the first server does not take it away."""
    first = serve(path)
    path.unlink()
    with serve(path):
        first.close()
        assert answers(path, "second")


@pytest.mark.parametrize("endpoint", ["unix://", "unix://relative", "unix:///folder/", "unix:///a\0b", "unix:///" + "x" * 107])
def test_an_endpoint_is_an_absolute_path_that_fits(endpoint: str) -> None:
    """`InvalidSetting`, at once and on both sides."""
    with pytest.raises(kt.InvalidSetting):
        kt.connect(endpoint, transport="unix")
    with pytest.raises(kt.InvalidSetting):
        kt.serve({}, endpoint, transport="unix")


@pytest.mark.parametrize("garbage", [b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, frame(b""), frame(b"no map")])
def test_garbage_costs_only_its_sender(server: kt.RunningServer, stranger: socket.socket, path: Path, garbage: bytes) -> None:
    """Whatever it makes of it, the server goes on answering the others."""
    stranger.sendall(garbage)
    assert answers(path, "all is well")
    stranger.shutdown(socket.SHUT_WR)
    assert answers(path, "still")
    until(lambda: server.stats()["clients"] == 0, "the server did not let go of a client that left")


def test_a_message_too_large_is_read_past(server: kt.RunningServer, stranger: socket.socket) -> None:
    """It is answered under its number, and so is the message after it."""
    stranger.sendall(frame(bytes(LIMIT + 1), number=7) + frame(b"no map", number=8))
    for number, told in ((7, b"too_large"), (8, b"invalid_params")):
        size, answered = HEADER.unpack(stranger.recv(HEADER.size, socket.MSG_WAITALL))
        assert answered == number
        assert told in stranger.recv(size, socket.MSG_WAITALL)


def test_a_client_that_does_not_read_is_dropped(server: kt.RunningServer, stranger: socket.socket, path: Path) -> None:
    """Its answers pile up to a limit, and nobody else waits for it."""
    request = kt.registry().codec("msgpack").encode({"method": "echo", "params": {"value": "x" * 10_000}})
    with suppress(OSError):  # as it is dropped while it sends
        for number in range(200):
            stranger.sendall(frame(request, number))
    assert answers(path, "meanwhile")
    until(lambda: server.stats()["dropped"] == 1, "the server did not drop a client that does not read")
    assert answers(path, "afterwards")


SERVER_WITH_A_CHILD = """
import os, sys
import kato_transport as kt
server = kt.serve({"echo": lambda value: {"value": value}}, sys.argv[1], transport="unix")
if os.fork():
    print("ready", flush=True)
sys.stdin.read()
os._exit(0)
"""


def test_a_client_sees_a_killed_server_even_where_its_child_lives_on(path: Path) -> None:
    """A forked child keeps none of its parent's sockets, so they end with the parent: at once, not by a timeout."""
    command = [sys.executable, "-c", SERVER_WITH_A_CHILD, f"unix://{path}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with kt.connect(f"unix://{path}", transport="unix", connect_timeout_s=0.1) as client:
            assert client.call("echo", {"value": 1})["value"] == 1
            process.kill()
            process.wait()
            with pytest.raises((kt.ConnectionLost, kt.ConnectFailed)):
                client.call("echo", {"value": 2}, timeout_s=30)
