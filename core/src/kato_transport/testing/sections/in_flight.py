"""Many calls in flight, and those that overtake."""

from __future__ import annotations

import threading

import pytest

import kato_transport as kt
from kato_transport.model import Capability
from kato_transport.testing.base import Conformance, requires
from kato_transport.testing.rig import Rig
from kato_transport.testing.waiting import GRACE_S, at_most, background, outcome, outcomes

THREADS = 8


class InFlight(Conformance):
    """Calls made at the same time do not mix, and with MULTIPLEX a slow one holds up nobody."""

    def test_threads_may_share_a_client(self, rig: Rig) -> None:
        """Each gets the answers to its own calls."""
        client = rig.connect(rig.serve())
        together = threading.Barrier(THREADS)

        def call(thread: int) -> list[tuple[object, object]]:
            together.wait(GRACE_S)
            values = [f"{thread}/{n}" for n in range(25)]
            answers = [(value, client.call("echo", {"value": value})["value"]) for value in values]
            return [(value, answer) for value, answer in answers if value != answer]

        assert outcomes([background(call, thread) for thread in range(THREADS)]) == [[]] * THREADS

    def test_call_many_answers_in_order(self, rig: Rig) -> None:
        """However the answers came, they stand where their calls stood."""
        client = rig.connect(rig.serve())
        answers = client.call_many(("echo", {"value": n}) for n in range(100))
        assert [answer["value"] for answer in answers if isinstance(answer, dict)] == list(range(100))

    def test_call_many_of_nothing_is_nothing(self, rig: Rig) -> None:
        """No calls, no answers, no wait."""
        assert rig.connect(rig.serve()).call_many([]) == []

    def test_an_error_among_many_is_an_item(self, rig: Rig) -> None:
        """The calls before and after it are answered."""
        client = rig.connect(rig.serve())
        first, error, last = client.call_many([("echo", {"value": 1}), ("no_such_method", {}), ("echo", {"value": 2})])
        assert isinstance(error, kt.RemoteError)
        assert (first, last) == ({"status": "okay", "value": 1}, {"status": "okay", "value": 2})

    def test_submitted_calls_are_futures(self, rig: Rig) -> None:
        """Each ends in its own answer, or in its own error."""
        client = rig.connect(rig.serve())
        futures = [client.submit("echo", {"value": n}) for n in range(50)]
        failing = client.submit("no_such_method")
        assert outcomes(futures) == [{"status": "okay", "value": n} for n in range(50)]
        assert isinstance(outcome(failing), kt.RemoteError)

    def test_one_client_does_not_hold_up_another(self, rig: Rig) -> None:
        """A slow call of one, and the other is answered meanwhile."""
        rig.skip_unless_concurrent()
        server = rig.serve()
        slow = background(rig.connect(server).call, "hold", {"key": "slow"})
        rig.service.wait_for_start("slow")
        assert rig.connect(server).call("echo", {"value": 1})["value"] == 1
        assert not slow.done()
        rig.service.release("slow")
        assert outcome(slow) == {"status": "okay", "key": "slow"}

    @requires(Capability.MULTIPLEX)
    @pytest.mark.parametrize("made_by", ["submit", "a thread"])
    def test_a_slow_call_does_not_hold_up_a_fast_one(self, rig: Rig, made_by: str) -> None:
        """On one client, the fast call overtakes."""
        client = rig.connect(rig.serve())
        make = client.submit if made_by == "submit" else lambda *call: background(client.call, *call)
        slow = make("hold", {"key": "slow"})
        rig.service.wait_for_start("slow")
        fast = make("echo", {"value": 1})
        assert outcome(fast, "the fast call", GRACE_S) == {"status": "okay", "value": 1}
        assert not slow.done()
        rig.service.release("slow")
        assert outcome(slow) == {"status": "okay", "key": "slow"}

    @requires(Capability.MULTIPLEX)
    def test_answers_may_come_in_any_order(self, rig: Rig) -> None:
        """Calls that end in the opposite order of their beginning get their own answers."""
        client = rig.connect(rig.serve())
        keys = [f"key {n}" for n in range(6)]
        calls = {key: client.submit("hold", {"key": key}) for key in keys}
        rig.service.wait_for_start(*keys)
        for key in reversed(keys):
            rig.service.release(key)
            assert outcome(calls[key]) == {"status": "okay", "key": key}

    @requires(Capability.MULTIPLEX)
    def test_many_calls_are_in_flight_on_one_client(self, rig: Rig) -> None:
        """As many as the server has workers run at once."""
        client = rig.connect(rig.serve(workers=32))
        keys = [f"key {n}" for n in range(32)]
        calls = [client.submit("hold", {"key": key}) for key in keys]
        rig.service.wait_for_start(*keys)
        rig.service.release(*keys)
        assert outcomes(calls) == [{"status": "okay", "key": key} for key in keys]

    @requires(Capability.MULTIPLEX)
    def test_a_ping_is_answered_while_handlers_are_busy(self, rig: Rig) -> None:
        """A server whose only worker is taken still says that it is there."""
        client = rig.connect(rig.serve(workers=1))
        busy = client.submit("hold", {"key": "busy"})
        rig.service.wait_for_start("busy")
        with at_most(GRACE_S, "a ping to a busy server"):
            assert client.call("ping")["message"] == "pong"
        assert not busy.done()
