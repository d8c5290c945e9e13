"""Where servers can be: ports and paths, free, in use and malformed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

import kato_transport as kt

from .peers import WAIT_S, until

MALFORMED = [
    "",
    "nowhere",
    "tcp://",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:99999",
    "tcp://127.0.0.1:x",
    "http://127.0.0.1:1",
    "ipc://",
]


@pytest.fixture(params=["improved", "basic"])
def transport(request: pytest.FixtureRequest) -> str:
    """Both stand on the same sockets."""
    found: str = request.param
    return found


def echo(endpoint: str, transport: str) -> bool:
    with kt.connect(endpoint, transport=transport, timeout_s=WAIT_S) as client:
        return bool(client.call("echo")["status"] == "okay")


def served(endpoint: str, transport: str) -> kt.RunningServer:
    return kt.serve({"echo": dict}, endpoint, transport=transport)


def test_a_port_of_nought_is_any_free_one(transport: str) -> None:
    """Two servers get two."""
    with served("tcp://127.0.0.1:0", transport) as one, served("tcp://127.0.0.1:0", transport) as other:
        assert one.endpoint != other.endpoint
        assert not one.endpoint.endswith(":0")
        assert echo(one.endpoint, transport)
        assert echo(other.endpoint, transport)


def test_a_port_in_use_is_told_at_once(transport: str) -> None:
    """With what to do about it, and the first server goes on."""
    with served("tcp://127.0.0.1:0", transport) as first:
        with pytest.raises(kt.BindFailed, match=r"Address already in use.*; choose another, or port 0"):
            served(first.endpoint, transport)
        assert echo(first.endpoint, transport)


def test_an_address_of_somebody_else_cannot_be_bound(transport: str) -> None:
    """192.0.2.1 is nobody's, by standard."""
    with pytest.raises(kt.BindFailed, match=r"tcp://192\.0\.2\.1:5555"):
        served("tcp://192.0.2.1:5555", transport)


@pytest.mark.parametrize("endpoint", MALFORMED)
def test_a_malformed_endpoint_is_an_invalid_setting_on_both_sides(transport: str, endpoint: str) -> None:
    """That says what was expected; no thread is left of the attempt."""
    with pytest.raises(kt.InvalidSetting, match="expected tcp://HOST:PORT or ipc://PATH"):
        served(endpoint, transport).close()
    with pytest.raises(kt.InvalidSetting, match="expected tcp://HOST:PORT or ipc://PATH"):
        kt.connect(endpoint, transport=transport).close()


def test_a_path_is_an_endpoint(transport: str, tmp_path: Path) -> None:
    """Served, called, and gone after the close."""
    endpoint = f"ipc://{tmp_path}/kato.sock"
    for _ in range(2):
        with served(endpoint, transport) as server:
            assert server.endpoint == endpoint
            assert echo(endpoint, transport)


def test_a_path_in_use_is_told_at_once(transport: str, tmp_path: Path) -> None:
    """libzmq would take it over, and the first server would never hear of anybody again."""
    endpoint = f"ipc://{tmp_path}/kato.sock"
    with served(endpoint, transport):
        with pytest.raises(kt.BindFailed, match="another process serves there"):
            served(endpoint, transport)
        assert echo(endpoint, transport)


def test_a_path_left_behind_by_a_dead_process_is_taken(transport: str, tmp_path: Path) -> None:
    """Nobody listens there, so nobody has to clean it up by hand."""
    path = tmp_path / "kato.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    with served(f"ipc://{path}", transport):
        assert echo(f"ipc://{path}", transport)


def test_a_path_that_is_too_long_is_a_configuration_error(transport: str) -> None:
    """The system allows 107 bytes."""
    endpoint = f"ipc:///tmp/{'x' * 200}.sock"
    with pytest.raises(kt.ConfigurationError, match="xxx"):
        served(endpoint, transport)
    with pytest.raises(kt.ConfigurationError, match="xxx"):
        kt.connect(endpoint, transport=transport)


def test_a_path_of_a_directory_that_is_not_there_cannot_be_bound(transport: str, tmp_path: Path) -> None:
    """It is not made by itself."""
    with pytest.raises(kt.BindFailed, match="No such file or directory"):
        served(f"ipc://{tmp_path}/none/kato.sock", transport)


def test_a_failed_server_leaves_nothing_behind(transport: str, threads_and_files: Callable[[], tuple[int, int]]) -> None:
    """No thread, and no file descriptor but what libzmq keeps for itself."""
    with served("tcp://127.0.0.1:0", transport) as first:
        for _ in range(3):
            with pytest.raises(kt.BindFailed):
                served(first.endpoint, transport)
        threads, files = threads_and_files()
        for _ in range(20):
            with pytest.raises(kt.BindFailed):
                served(first.endpoint, transport)
        assert threads_and_files()[0] == threads
        until(lambda: threads_and_files()[1] < files + 20, "descriptors were left")  # libzmq closes them on its own thread


@pytest.fixture
def threads_and_files() -> Callable[[], tuple[int, int]]:
    """How many of each this process has."""
    return lambda: (len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")))
