"""Nothing is left behind: no thread, no file descriptor."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig, once
from kato_transport.testing.waiting import GRACE_S, SOON_S, comes_true, outcomes

DESCRIPTORS = Path("/proc/self/fd")
ROUNDS = 2


class Leaks(Conformance):
    """After `close` the process is as it was."""

    def test_no_thread_is_left_behind(self, rig: Rig) -> None:
        """Neither by a server nor by clients that called, timed out, submitted or found nobody."""
        before = set(threading.enumerate())
        for _ in range(ROUNDS):
            live_through(rig)
        comes_true(lambda: threads_since(before) == [], GRACE_S)
        assert threads_since(before) == []

    @pytest.mark.skipif(not DESCRIPTORS.exists(), reason="this system does not tell the open file descriptors")
    def test_no_file_descriptor_is_left_behind(self, rig: Rig) -> None:
        """A first round may open what the process keeps; further ones add nothing."""
        live_through(rig)
        gc.collect()
        before = descriptors()
        for _ in range(ROUNDS):
            live_through(rig)
        comes_true(lambda: len(descriptors()) <= len(before), GRACE_S)
        now = descriptors()  # numbers are taken again, so what counts is how many there are
        left = [now[number] for number in now if number not in before]
        assert len(now) <= len(before), left


def live_through(rig: Rig) -> None:
    """A server and its clients, from beginning to end."""
    with rig.serve() as server, rig.connect(server) as client, rig.connect(server):
        client.call("echo", {"value": 1})
        outcomes([client.submit("echo", {"value": n}) for n in range(5)])
        with pytest.raises(kt.CallTimeout):
            once(client, "hold", SOON_S, key=server.endpoint)
        rig.service.release(server.endpoint)
    with rig.connect(server, connect_timeout_s=SOON_S) as lonely, pytest.raises(kt.ConnectFailed):
        lonely.call("echo", {"value": 1})


def threads_since(before: set[threading.Thread]) -> list[str]:
    """The names of threads that run now and did not before."""
    return sorted(thread.name for thread in set(threading.enumerate()) - before)


def descriptors() -> dict[int, str]:
    """The open file descriptors and what they are."""
    found = {}
    for entry in DESCRIPTORS.iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except OSError:
            continue  # the one that listing the folder had open
    return found
