"""A client and a server through a fork: both sides go on, and what a child closes is closed for the child only."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

import kato_transport as kt

from .peers import WAIT_S, until


def child(run: Callable[[], object]) -> int:
    """Fork a child that runs something; gives its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        run()
        code = 0
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """The child's exit status."""
    found: list[int] = []

    def gone() -> bool:
        done, status = os.waitpid(pid, os.WNOHANG)
        found.append(status)
        return done != 0

    until(gone, "a child hangs")
    return os.waitstatus_to_exitcode(found[-1])


@pytest.fixture
def client(serve: Callable[..., kt.RunningServer]) -> kt.Client:
    """One that has been used in every way before the fork."""
    with kt.connect(serve().endpoint, transport="improved", timeout_s=WAIT_S) as made:
        everything(made, "before")
        yield made


def everything(client: kt.Client, value: str) -> None:
    """Call, submit and many calls."""
    assert client.call("echo", {"value": value})["value"] == value
    assert client.submit("echo", {"value": value}).result(WAIT_S)["value"] == value
    many = client.call_many([("echo", {"value": n}) for n in range(100)])
    assert [item["value"] for item in many if isinstance(item, dict)] == list(range(100))


def test_children_use_an_inherited_client_while_the_parent_goes_on(client: kt.Client) -> None:
    """With threads that call all the time, at the moment of the fork, too."""
    stop, failed = threading.Event(), []

    def call() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                assert client.call("echo", {"value": number})["value"] == number
            except Exception as exc:
                failed.append(exc)
                return

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(5):
            pids = [child(lambda turn=turn: everything(client, f"child {turn}")) for _ in range(2)]
            assert [ended(pid) for pid in pids] == [0, 0]
    finally:
        stop.set()
        for thread in threads:
            thread.join(WAIT_S)
    assert failed == []
    everything(client, "parent")


def test_a_child_closes_its_inherited_client_for_itself_only(client: kt.Client) -> None:
    """Used before or not."""

    def use_and_close() -> None:
        everything(client, "child")
        client.close()

    for run in (client.close, use_and_close):
        assert ended(child(run)) == 0
        everything(client, "parent")


def test_a_child_closes_an_inherited_server_for_itself_only(serve: Callable[..., kt.RunningServer]) -> None:
    """The parent's goes on."""
    server = serve()
    with kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S) as client:
        everything(client, "before")
        assert ended(child(server.close)) == 0
        everything(client, "after")


def test_a_child_serves_and_calls_on_its_own(client: kt.Client) -> None:
    """With a context of its own."""

    def serve_and_call() -> None:
        with (
            kt.serve({"echo": lambda value=None: {"value": value}}, "tcp://127.0.0.1:0", transport="improved") as server,
            kt.connect(server.endpoint, transport="improved", timeout_s=WAIT_S) as own,
        ):
            everything(own, "own")
            everything(client, "the parent's server")

    assert ended(child(serve_and_call)) == 0
    everything(client, "parent")
