"""Closing: prompt, final, and as often as one likes."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig, once
from kato_transport.testing.waiting import GRACE_S, SOON_S, at_most, background, comes_true, outcome, outcomes

ARRIVAL_S = 0.1
"""Time for a request to arrive in a queue, where nobody sees it."""


class Closing(Conformance):
    """What is closed is closed, for whoever waits as well as for whoever comes."""

    def test_closing_a_connection_again_does_nothing(self, rig: Rig) -> None:
        """The transport's own connection, not only the client around it; an error of the second close would fail this."""
        connection = rig.connection(rig.serve())
        assert connection.request(kt.Request("echo", {"value": 1})).body["value"] == 1
        connection.close()
        connection.close()

    def test_closing_a_server_again_does_nothing(self, rig: Rig) -> None:
        """Twice is as good as once: the next server gets the endpoint, and a third close is none of its business."""
        server = rig.serve()
        server.close()
        server.close()
        client = rig.connect(rig.serve(endpoint=server.endpoint))
        server.close()
        assert client.call("echo", {"value": 1})["value"] == 1

    def test_a_connection_without_a_call_closes_promptly(self, rig: Rig) -> None:
        """One that was never used, and one that never found its peer."""
        clients = [rig.connect(rig.serve()), rig.connect(rig.nowhere())]
        with at_most(GRACE_S, "closing unused clients"):
            for client in clients:
                client.close()
        for client in clients:
            with pytest.raises(kt.ClientClosed):
                client.call("nothing")

    def test_a_client_closes_promptly(self, rig: Rig) -> None:
        """After calls that were answered, and one that was not."""
        client = rig.connected(rig.serve())
        with pytest.raises(kt.CallTimeout):
            once(client, "hold", SOON_S, key="held")
        with at_most(GRACE_S, "closing a client"):
            client.close()

    def test_a_server_closes_promptly(self, rig: Rig) -> None:
        """With clients still connected and nothing under way, however long it might drain."""
        server = rig.serve(drain_s=60.0)
        client = rig.connect(server)
        assert client.call("echo", {"value": 1})["value"] == 1
        with at_most(GRACE_S, "closing an idle server"):
            server.close()

    def test_a_server_gives_up_after_its_drain_time(self, rig: Rig) -> None:
        """A handler that does not end does not keep `close` from ending."""
        server = rig.serve(drain_s=SOON_S)
        background(rig.connect(server).call, "hold", {"key": "held"})
        rig.service.wait_for_start("held")
        with at_most(SOON_S + GRACE_S, "closing a server with a handler that does not end"):
            server.close()

    @pytest.mark.parametrize("made_by", ["call", "submit"])
    def test_closing_ends_calls_in_flight(self, rig: Rig, made_by: str) -> None:
        """They end at once and in a typed error, and `close` does not wait for their time."""
        client = rig.connect(rig.serve())
        held = "hold", {"key": "held"}
        call = client.submit(*held) if made_by == "submit" else background(client.call, *held)
        rig.service.wait_for_start("held")
        with at_most(GRACE_S, "closing a client with a call in flight"):
            client.close()
        assert isinstance(outcome(call, "the call in flight", GRACE_S), (kt.ClientClosed, kt.ConnectionLost))

    def test_a_closed_client_makes_no_call(self, rig: Rig) -> None:
        """`ClientClosed`, whichever way the call is made."""
        client = rig.connect(rig.serve())
        client.close()
        for call in (client.call, client.submit, lambda method: client.call_many([(method, {})])):
            with pytest.raises(kt.ClientClosed):
                call("nothing")

    def test_a_closed_connection_makes_no_call(self, rig: Rig) -> None:
        """`ClientClosed` by the transport itself, whose connection others may use without a client around it."""
        connection = rig.connection(rig.serve())
        connection.request(kt.Request("nothing"))
        connection.close()
        with pytest.raises(kt.ClientClosed):
            connection.request(kt.Request("nothing"))

    def test_threads_may_close_a_client_at_the_same_time(self, rig: Rig) -> None:
        """Nobody hangs, nobody fails."""
        connection = rig.connection(rig.serve())
        connection.request(kt.Request("nothing"))
        assert outcomes([background(connection.close) for _ in range(4)], "close", GRACE_S) == [None] * 4

    def test_a_closed_server_starts_nothing_more(self, rig: Rig) -> None:
        """What still waited when the drain time ended is dropped, not run behind everybody's back."""
        server = rig.serve(workers=1, drain_s=0.0)
        holding = background(once, rig.connect(server), "hold", GRACE_S, key="held")
        rig.service.wait_for_start("held")
        waiting = background(once, rig.connect(server), "count", GRACE_S, token="dropped")
        assert not comes_true(waiting.done, ARRIVAL_S)
        with at_most(GRACE_S, "closing a server without drain time"):
            server.close()
        rig.service.release("held")
        assert isinstance(outcome(waiting), kt.TransportError)
        outcome(holding)
        assert not rig.service.runs
