"""Many calls while the server comes and goes: no wrong answer, no hang, no error without a type."""

from __future__ import annotations

import itertools
import threading

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig
from kato_transport.testing.waiting import GRACE_S, TEST_S, background, outcomes, until

CALLS = 2000
THREADS = 4
RESTARTS_AFTER = (CALLS // 3, 2 * CALLS // 3)


class Tally:
    """What became of the calls."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed = 0
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    @property
    def made(self) -> int:
        return self.answered + self.failed

    def call(self, client: kt.Client, value: str) -> bool:
        """One call; False where it failed in a typed error, any other one goes through."""
        try:
            answer = client.call("echo", {"value": value}, timeout_s=GRACE_S)["value"]
        except kt.TransportError:
            with self._lock:
                self.failed += 1
            return False
        with self._lock:
            self.answered += 1
            if answer != value:
                self.wrong.append(f"{value} was answered {answer}")
        return True


class Soak(Conformance):
    """Calls and restarts together."""

    def test_no_call_goes_wrong_while_the_server_restarts(self, rig: Rig) -> None:
        """2000 calls by four threads on one client, and two restarts: each is answered right or ends in a typed error."""
        server = rig.serve()
        client = rig.connect(server, connect_timeout_s=0.5)
        tally, up, numbers = Tally(), threading.Event(), itertools.count()
        up.set()

        def call_on() -> None:
            while (number := next(numbers)) < CALLS:
                if not tally.call(client, f"number {number}"):
                    up.wait(GRACE_S)  # or else every call left would be made while nobody is there

        callers = [background(call_on) for _ in range(THREADS)]
        for made in RESTARTS_AFTER:
            until(lambda made=made: tally.made >= made, f"{made} calls were not made", TEST_S)  # type: ignore[misc]
            up.clear()
            server.close()
            server = rig.serve(endpoint=server.endpoint)
            up.set()
        assert outcomes(callers, "the calls", TEST_S) == [None] * THREADS
        assert tally.wrong == []
        assert (tally.made, tally.answered > CALLS // 2) == (CALLS, True)
        assert client.call("echo", {"value": "after"})["value"] == "after"
