"""Handlers that fork, on whichever thread."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from typing import Any

import pytest

import kato_transport as kt
from kato_transport.testing.sections.forking import needs_fork

from ..peers import until
from .calls import Connect, Serve, by_a_receiver, needs_epoll


def end(pid: int) -> None:
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@needs_fork
@needs_epoll
@pytest.mark.parametrize("inline", [True, False], ids=["inline", "pooled"])
def test_a_handler_that_forks_goes_on_in_the_parent_only(
    serve: Serve, connect: Connect, closing: ExitStack, inline: bool
) -> None:
    """The child's copy answers nobody, takes none of the parent's messages, and ends with the handler of a receiver."""
    children: list[int] = []

    def fork() -> dict[str, Any]:
        here = by_a_receiver()
        pid = os.fork()
        if pid:
            closing.callback(end, pid)
            if here:
                children.append(pid)
        return {"pid": os.getpid(), "by_a_receiver": here}

    methods = {"fork": kt.inline(fork) if inline else fork, "echo": lambda value: {"value": value}}
    client = connect(serve(served=methods))
    until(lambda: client.call("fork")["by_a_receiver"], "no receiver runs anything")
    for value in range(20):
        assert client.call("fork")["pid"] == os.getpid()
        assert client.call("echo", {"value": value})["value"] == value
    for pid in children:
        until(lambda pid=pid: os.waitpid(pid, os.WNOHANG)[0], "a child goes on receiving")  # type: ignore[misc]
