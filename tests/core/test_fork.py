"""What has to be done in a child process is done there, for those who asked, and in no other way."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import zmq

from kato_transport import fork
from kato_transport.zeromq.context import _Holder

from .waiting import WAIT_S, until


class Owner:
    """Counts the forks it has been through, on the child's side."""

    def __init__(self) -> None:
        self.forks = 0

    def after_fork_in_child(self) -> None:
        self.forks += 1


def in_child(check: Callable[[], bool]) -> bool:
    """What a check says in a forked child."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(math.ceil(WAIT_S))  # one that hangs is not left behind
        code = 2
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    found: list[int] = []

    def ended() -> bool:
        done, status = os.waitpid(pid, os.WNOHANG)
        found.append(status)
        return done != 0

    until(ended, "the child hangs", WAIT_S)
    return os.waitstatus_to_exitcode(found[-1]) == 0


def test_an_owner_is_called_in_the_child_and_not_in_the_parent() -> None:
    """Once for each fork, however often it is watched."""
    owner = Owner()
    fork.watch(owner)
    fork.watch(owner)
    assert in_child(lambda: owner.forks == 1)
    assert owner.forks == 0


def test_a_childs_child_is_a_child_too() -> None:
    """Each generation makes its own."""
    owner = Owner()
    fork.watch(owner)
    assert in_child(lambda: in_child(lambda: owner.forks == 2))


def test_watching_keeps_nobody_alive() -> None:
    """Who is gone need not be told."""
    owner = Owner()
    fork.watch(owner)
    gone = weakref.ref(owner)
    del owner
    assert gone() is None
    assert in_child(lambda: True)


def test_abandoned_objects_are_never_collected_in_the_child() -> None:
    """Collecting them would touch the parent's sockets."""

    class Socket:
        """Stands for one."""

    def check() -> bool:
        held = Socket()
        seen = weakref.ref(held)
        fork.abandon(held)
        del held
        return seen() is not None

    assert in_child(check)


def test_a_fork_while_the_first_context_is_made_leaves_no_lock_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child makes its own."""
    begun, go_on = threading.Event(), threading.Event()

    class SlowToMake(zmq.Context[Any]):
        def __init__(self) -> None:
            begun.set()
            go_on.wait(2 * WAIT_S)
            super().__init__()

    monkeypatch.setattr(zmq, "Context", SlowToMake)
    holder = _Holder()
    made: list[Any] = []
    maker = threading.Thread(target=lambda: made.append(holder.get()))
    maker.start()
    assert begun.wait(WAIT_S)

    def make() -> bool:
        go_on.set()
        return holder.get() is not None

    try:
        assert in_child(make)
    finally:
        go_on.set()
        maker.join()
        made.pop().destroy()


def test_a_child_that_ends_like_any_program_ends_at_once() -> None:
    """With clients and servers inherited, through the whole of Python's shutdown."""
    program = """
        import os, sys
        import kato_transport as kt

        with kt.serve({"m": dict}, "tcp://127.0.0.1:0", transport="improved") as server:
            with kt.connect(server.endpoint, transport="improved") as client:
                client.call("m")
                client.submit("m").result()
                pid = os.fork()
                if pid == 0:
                    client.call("m")
                    sys.exit(7)
                _, status = os.waitpid(pid, 0)
                client.call("m")
        sys.exit(os.waitstatus_to_exitcode(status))
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, timeout=30, check=False)
    assert ended.returncode == 7, ended.stderr.decode()
    assert b"Traceback" not in ended.stderr
