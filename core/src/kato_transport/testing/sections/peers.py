"""Peers that are not there, come late, go away and come back."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig, once
from kato_transport.testing.waiting import GRACE_S, LONG_S, SOON_S, at_most, background, outcome, until

DOWN = (kt.ConnectFailed, kt.ConnectionLost)
ENDED = (kt.ConnectionLost, kt.CallTimeout)


class Peers(Conformance):
    """A peer's absence is a typed error in time, and its return is noticed."""

    def test_connecting_does_not_wait_for_the_peer(self, rig: Rig) -> None:
        """A client can be made before there is anybody to call, and calls whoever comes."""
        endpoint = rig.nowhere()
        with at_most(GRACE_S, "connecting to nobody"):
            client = rig.connect(endpoint)
        rig.serve(endpoint=endpoint)
        assert_answered_again(client)

    def test_nobody_listening_is_connect_failed(self, rig: Rig) -> None:
        """`ConnectFailed` and nothing else: nothing was sent, and the caller may try again."""
        client = rig.connect(rig.nowhere(), connect_timeout_s=SOON_S)
        with at_most(LONG_S, "a call to nobody"), pytest.raises(kt.ConnectFailed):
            client.call("echo", {"value": 1}, timeout_s=LONG_S / 2)

    def test_nobody_listening_is_noticed_within_the_connect_timeout(self, rig: Rig) -> None:
        """However much time the call has."""
        client = rig.connect(rig.nowhere(), connect_timeout_s=SOON_S)
        with at_most(SOON_S + GRACE_S, "a call to nobody"), pytest.raises(kt.TransportError):
            client.call("echo", {"value": 1}, timeout_s=LONG_S)

    def test_a_server_that_comes_late_is_found(self, rig: Rig) -> None:
        """A client older than its server calls it without being made anew."""
        endpoint = rig.nowhere()
        client = rig.connect(endpoint, connect_timeout_s=SOON_S)
        with pytest.raises(kt.ConnectFailed):
            client.call("echo", {"value": 1})
        rig.serve(endpoint=endpoint)
        assert_answered_again(client)

    def test_a_call_while_the_server_is_down_fails_within_the_connect_timeout(self, rig: Rig) -> None:
        """A client that was connected before finds out in time, too."""
        server = rig.serve()
        client = rig.connect(server, connect_timeout_s=SOON_S)
        client.call("echo", {"value": 1})
        server.close()
        with at_most(SOON_S + GRACE_S, "a call while the server is down"), pytest.raises(DOWN):
            client.call("echo", {"value": 2})

    def test_calls_are_answered_again_after_a_restart(self, rig: Rig) -> None:
        """The same client goes on with a new server on the same endpoint, time after time."""
        server = rig.serve()
        client = rig.connect(server, connect_timeout_s=GRACE_S)
        for n in range(3):
            assert client.call("echo", {"value": n})["value"] == n
            server.close()
            server = rig.serve(endpoint=server.endpoint)
            assert_answered_again(client)

    def test_a_server_that_vanishes_mid_call_ends_the_call(self, rig: Rig) -> None:
        """`ConnectionLost` or `CallTimeout`, within the call's time; never a hang."""
        server = rig.serve(drain_s=0.0)
        client = rig.connect(server)
        call = background(once, client, "hold", GRACE_S, key="held")
        rig.service.wait_for_start("held")
        with at_most(GRACE_S, "closing a server without drain time"):
            server.close()
        assert isinstance(outcome(call, "a call whose server vanished", 2 * GRACE_S), ENDED)

    def test_a_closing_server_answers_what_it_has_taken(self, rig: Rig) -> None:
        """Requests under way are finished within the drain time, and their answers still arrive."""
        server = rig.serve(drain_s=LONG_S)
        call = background(once, rig.connect(server), "hold", key="taken")
        rig.service.wait_for_start("taken")
        closing = background(server.close)
        rig.service.release("taken")
        assert outcome(call) == {"status": "okay", "key": "taken"}
        assert outcome(closing, "close", GRACE_S) is None


def assert_answered_again(client: kt.Client) -> None:
    """Calls may fail for a moment, in ways that say so, and then are answered."""

    def answered() -> bool:
        try:
            return bool(once(client, "echo", 1.0, value="again")["value"] == "again")
        except (*DOWN, kt.CallTimeout, kt.ServerBusy):
            return False

    until(answered, "the client was not answered again", LONG_S / 2)
