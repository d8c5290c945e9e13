"""Forks: parent and child both go on."""

from __future__ import annotations

import os
import select
import signal
import threading
import warnings
from collections.abc import Callable
from typing import NoReturn

import pytest

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig
from kato_transport.testing.waiting import GRACE_S, background, outcome, outcomes

CHILD_S = 6
"""Seconds after which a child that hangs is ended."""
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@needs_fork
class Forking(Conformance):
    """A child may use what it inherited, and the parent never notices."""

    def test_a_forked_child_calls_with_the_inherited_client(self, rig: Rig) -> None:
        """Its calls are answered, and so are the parent's afterwards."""
        client = rig.connect(rig.serve(), connect_timeout_s=GRACE_S)
        client.call("echo", {"value": "parent"})
        assert in_child(lambda: self._call_as_child(client)) == "fine"
        assert client.call("echo", {"value": "parent"})["value"] == "parent"

    def test_parent_and_children_call_at_the_same_time(self, rig: Rig) -> None:
        """Forked from amidst the parent's calls, several children at once; nobody gets another's answer."""
        client = rig.connect(rig.serve(), connect_timeout_s=GRACE_S)
        enough = threading.Event()

        def go_on(thread: int) -> int:
            count = 0
            while not enough.is_set():
                value = f"parent {thread}/{count}"
                assert client.call("echo", {"value": value})["value"] == value
                count += 1
            return count

        parents = [background(go_on, thread) for thread in range(3)]
        children = [fork(lambda: self._call_as_child(client)) for _ in range(4)]
        try:
            assert [child.ended() for child in children] == ["fine"] * len(children)
        finally:
            enough.set()
        counts = outcomes(parents)
        assert all(isinstance(count, int) and count > 0 for count in counts), counts

    def test_a_forked_child_serves_and_connects_anew(self, rig: Rig) -> None:
        """Whatever its parent had going on."""
        server = rig.serve()
        held = background(rig.connect(server).call, "hold", {"key": "held"})
        rig.service.wait_for_start("held")

        def serve_and_call() -> None:
            with rig.serve({"who": lambda: {"pid": os.getpid()}}) as own, rig.connect(own) as client:
                assert client.call("who")["pid"] == os.getpid()

        assert in_child(serve_and_call) == "fine"
        rig.service.release("held")
        assert outcome(held) == {"status": "okay", "key": "held"}

    def test_a_forked_child_closes_what_it_inherited(self, rig: Rig) -> None:
        """And takes nothing from its parent by doing so."""
        server = rig.serve()
        client = rig.connect(server)
        client.call("echo", {"value": 1})

        def close_both() -> None:
            client.close()
            server.close()

        assert in_child(close_both) == "fine"
        assert client.call("echo", {"value": 2})["value"] == 2

    def _call_as_child(self, client: kt.Client) -> None:
        if not self.reaches_other_processes:
            with pytest.raises(kt.ConnectFailed):
                client.call("echo", {"value": "child"})
            return
        for n in range(5):
            value = f"child {os.getpid()}/{n}"
            assert client.call("echo", {"value": value})["value"] == value
        assert client.submit("echo", {"value": 1}).result(GRACE_S)["value"] == 1


class fork:  # noqa: N801 -- reads as the verb it is
    """A child process that runs a function and tells how it went; it ends by itself, hang or not."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._told, tells = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads about is what is tested here
            self._pid = os.fork()
        if not self._pid:
            _live(function, tells)
        os.close(tells)

    def ended(self) -> str:
        """`fine`, or what went wrong in the child."""
        ready, _, _ = select.select([self._told], [], [], CHILD_S + GRACE_S)
        if not ready:
            os.kill(self._pid, signal.SIGKILL)
        with os.fdopen(self._told) as told:
            text = told.read()
        _, status = os.waitpid(self._pid, 0)
        return text or f"the child ended without a word, status {status}: most likely it hung for {CHILD_S} s"


def in_child(function: Callable[[], object]) -> str:
    """Run a function in a child and wait for its end."""
    return fork(function).ended()


def _live(function: Callable[[], object], tells: int) -> NoReturn:
    """The child's whole life; it never returns into the test run that it is a copy of."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(CHILD_S)
        function()
        os.write(tells, b"fine")
    except BaseException as exc:
        os.write(tells, f"{type(exc).__name__}: {exc}".encode()[:2000])
    finally:
        os._exit(0)
