"""Timeouts, and the life after them."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig, once
from kato_transport.testing.waiting import GRACE_S, LONG_S, SOON_S, at_most, background, comes_true, outcome

LATE_ANSWER_S = 0.05
"""Time for a late answer to do harm."""


class Timeouts(Conformance):
    """A call ends at its time, and what comes later bothers nobody."""

    def test_a_call_ends_at_its_time(self, rig: Rig) -> None:
        """`CallTimeout`, not before the time and not long after; it says which call."""
        client = rig.connected(rig.serve())
        with pytest.raises(kt.CallTimeout) as caught:
            once(client, "hold", SOON_S, key="held")
        assert (caught.value.method, caught.value.timeout_s) == ("hold", SOON_S)

    def test_a_submitted_call_ends_at_its_time(self, rig: Rig) -> None:
        """The future of a call without an answer ends in `CallTimeout`."""
        client = rig.connected(rig.serve())
        outcome(client.submit("ping"))  # futures may have a connection of their own
        future = client.submit("hold", {"key": "held"}, timeout_s=SOON_S)
        assert isinstance(outcome(future, "a submitted call", SOON_S + GRACE_S), kt.CallTimeout)

    def test_call_many_ends_at_its_time(self, rig: Rig) -> None:
        """A call without an answer is a `CallTimeout` among the answers."""
        client = rig.connected(rig.serve())
        calls = [("hold", {"key": "held"}), ("nothing", {})]
        with at_most(2 * SOON_S + GRACE_S, "calls without an answer"):
            first, _ = client.call_many(calls, timeout_s=SOON_S)
        assert isinstance(first, kt.CallTimeout)

    def test_a_client_goes_on_after_a_timeout(self, rig: Rig) -> None:
        """The next call is answered, with its own answer, however often this happens."""
        client = rig.connected(rig.serve())
        for n in range(3):
            with pytest.raises(kt.CallTimeout):
                once(client, "hold", SOON_S, key=f"late {n}")
            rig.service.release(f"late {n}")
            assert client.call("echo", {"value": n})["value"] == n

    def test_a_late_answer_never_goes_to_the_next_call(self, rig: Rig) -> None:
        """An answer that comes while the next call waits is not taken for that call's."""
        client = rig.connected(rig.serve())
        for n in range(3):
            with pytest.raises(kt.CallTimeout):
                once(client, "hold", SOON_S, key=f"late {n}")
            waiting = background(client.call, "hold", {"key": f"next {n}"})
            rig.service.release(f"late {n}")
            rig.service.wait_for_start(f"next {n}")
            assert not comes_true(waiting.done, LATE_ANSWER_S)
            rig.service.release(f"next {n}")
            assert outcome(waiting) == {"status": "okay", "key": f"next {n}"}
            assert client.call("echo", {"value": n})["value"] == n

    def test_expired_work_is_not_started(self, rig: Rig) -> None:
        """A request that waited on the server until its time had passed is not run for nobody."""
        rig.skip_unless_concurrent()
        server = rig.serve(workers=1)
        holding = background(rig.connect(server).call, "hold", {"key": "worker"})
        rig.service.wait_for_start("worker")
        with pytest.raises((kt.CallTimeout, kt.RemoteError)):
            rig.connected(server).request(kt.Request("count", {"token": "expired"}, timeout_s=SOON_S)).result("count")
        comes_true(lambda: False, SOON_S)  # the server counts from when the request arrived, which is later
        queued = background(rig.connect(server).call, "count", {"token": "in time"})
        rig.service.release("worker")
        outcome(holding)
        outcome(queued)
        assert rig.service.runs == {"in time": 1}

    def test_each_call_has_its_own_time(self, rig: Rig) -> None:
        """A short call that times out takes nothing from a longer one beside it."""
        rig.skip_unless_concurrent()
        client = rig.connected(rig.serve())
        long = background(client.call, "hold", {"key": "long"}, timeout_s=LONG_S)
        with pytest.raises(kt.CallTimeout):
            once(client, "hold", SOON_S, key="short")
        rig.service.release("long")
        assert outcome(long) == {"status": "okay", "key": "long"}
