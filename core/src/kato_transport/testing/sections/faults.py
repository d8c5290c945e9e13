"""Faults of the network, made by a proxy; for transports whose endpoints are of the form host:port."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.model import Capability
from kato_transport.testing.base import Conformance, requires
from kato_transport.testing.rig import Rig, once
from kato_transport.testing.sections.peers import ENDED, assert_answered_again
from kato_transport.testing.waiting import GRACE_S, LONG_S, SOON_S, at_most, background, comes_true, outcome, until


class Faults(Conformance):
    """What the network does to a call is told by the error's type, in time, and passes."""

    @pytest.mark.parametrize("fault", ["cut", "half_close"])
    def test_a_broken_connection_ends_its_call_and_the_next_is_answered(self, rig: Rig, fault: str) -> None:
        """Reset or ended by the other side, while a call waits."""
        proxy, endpoint = rig.proxy(rig.serve())
        client = rig.connect(endpoint)
        call = background(once, client, "hold", GRACE_S, key="held")
        rig.service.wait_for_start("held")
        getattr(proxy, fault)()
        assert isinstance(outcome(call, "a call on a broken connection", 2 * GRACE_S), ENDED)
        proxy.cut()
        rig.service.release("held")
        assert_answered_again(client)

    def test_a_connection_broken_between_calls_is_made_anew(self, rig: Rig) -> None:
        """However often that happens."""
        proxy, endpoint = rig.proxy(rig.serve())
        client = rig.connect(endpoint)
        for n in range(3):
            assert client.call("echo", {"value": n})["value"] == n
            proxy.cut()
            assert_answered_again(client)

    def test_a_stalled_peer_is_a_call_timeout(self, rig: Rig) -> None:
        """Other clients go on meanwhile, and what arrives late goes to nobody."""
        server = rig.serve()
        proxy, endpoint = rig.proxy(server)
        client, other = rig.connect(endpoint), rig.connect(server)
        client.call("echo", {"value": "before"})
        proxy.down.stall()
        with pytest.raises(kt.CallTimeout):
            once(client, "echo", SOON_S, value="stalled")
        assert other.call("echo", {"value": "other"})["value"] == "other"
        proxy.down.flow()
        assert_answered_again(client)
        assert client.call("echo", {"value": "after"})["value"] == "after"

    @pytest.mark.parametrize("direction", ["up", "down"])
    def test_a_swallowed_message_is_a_call_timeout(self, rig: Rig, direction: str) -> None:
        """On its way there or back; with the connection renewed, calls are answered again."""
        proxy, endpoint = rig.proxy(rig.serve())
        client = rig.connect(endpoint)
        client.call("echo", {"value": "before"})
        getattr(proxy, direction).drop()
        with pytest.raises(kt.CallTimeout):
            once(client, "echo", SOON_S, value="swallowed")
        getattr(proxy, direction).flow()
        proxy.cut()
        assert_answered_again(client)

    def test_a_stalled_server_side_holds_up_no_other_client(self, rig: Rig) -> None:
        """A client that does not take its answers costs only itself."""
        server = rig.serve()
        proxy, endpoint = rig.proxy(server)
        greedy, other = rig.connect(endpoint), rig.connect(server)
        proxy.down.stall()
        unread = [background(once, greedy, "blow_up", LONG_S / 2, size=1024 * 1024) for _ in range(8)]
        until(lambda: proxy.down.seen > 0, "the server sent nothing")
        with at_most(GRACE_S, "calls beside a client that reads nothing"):
            assert [other.call("echo", {"value": n})["value"] for n in range(20)] == list(range(20))
        proxy.down.flow()
        for call in unread:
            outcome(call)

    def test_slow_delivery_is_still_right(self, rig: Rig) -> None:
        """Late, and in small pieces."""
        proxy, endpoint = rig.proxy(rig.serve())
        client = rig.connect(endpoint)
        for direction in (proxy.up, proxy.down):
            direction.delay_s, direction.bytes_per_s, direction.piece_bytes = 0.01, 400_000, 4_000
        payload = "slow" * 10_000
        assert client.call("echo", {"value": payload})["value"] == payload
        assert [client.call("echo", {"value": n})["value"] for n in range(3)] == [0, 1, 2]

    def test_a_message_that_comes_byte_by_byte_is_still_right(self, rig: Rig) -> None:
        """Wherever it is torn apart."""
        proxy, endpoint = rig.proxy(rig.serve())
        client = rig.connect(endpoint)
        proxy.up.piece_bytes = proxy.down.piece_bytes = 1
        assert client.call("echo", {"value": "torn apart"})["value"] == "torn apart"

    @requires(Capability.HEARTBEAT)
    def test_a_silent_peer_is_noticed_before_the_calls_time(self, rig: Rig) -> None:
        """Heartbeats left unanswered end the call, long before its own time would."""
        proxy, endpoint = rig.proxy(rig.serve())
        client = rig.connect(endpoint, heartbeat_interval_s=0.1, liveness=5)
        call = background(once, client, "hold", LONG_S, key="held")
        rig.service.wait_for_start("held")
        proxy.down.drop()
        assert isinstance(outcome(call, "a call to a silent peer", 1.0 + GRACE_S), kt.ConnectionLost)
        proxy.down.flow()
        proxy.cut()
        assert_answered_again(client)

    @requires(Capability.HEARTBEAT)
    def test_a_slow_handler_is_not_taken_for_a_silent_peer(self, rig: Rig) -> None:
        """A call that takes many heartbeat intervals is answered."""
        client = rig.connect(rig.serve(workers=1), heartbeat_interval_s=0.05, liveness=10)
        call = background(once, client, "hold", key="held")
        rig.service.wait_for_start("held")
        assert not comes_true(call.done, 15 * 0.05)  # half a second is silence, on a busy machine
        rig.service.release("held")
        assert outcome(call) == {"status": "okay", "key": "held"}
