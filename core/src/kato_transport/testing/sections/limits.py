"""Limits: messages too large, queues too full."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig, once
from kato_transport.testing.waiting import GRACE_S, background, outcomes, until

LIMIT = 64 * 1024
TOO_LARGE = "x" * (2 * LIMIT)


class Limits(Conformance):
    """What is too much is refused with a reason, and whoever sent it may go on."""

    def test_a_message_too_large_is_refused_before_sending(self, rig: Rig) -> None:
        """`LocalProtocolError` by the client's own limit; the next call is answered."""
        client = rig.connect(rig.serve(), max_message_bytes=LIMIT)
        with pytest.raises(kt.LocalProtocolError):
            once(client, "count", token=TOO_LARGE)
        assert not rig.service.runs
        assert client.call("echo", {"value": 1})["value"] == 1

    def test_a_message_too_large_for_the_server_is_refused(self, rig: Rig) -> None:
        """The server answers `too_large`, or told the client its limit before; nothing runs."""
        client = rig.connect(rig.serve(max_message_bytes=LIMIT))
        with pytest.raises((kt.RemoteError, kt.LocalProtocolError)) as caught:
            once(client, "count", token=TOO_LARGE)
        assert getattr(caught.value, "code", "too_large") == "too_large"
        assert not rig.service.runs
        assert client.call("echo", {"value": 1})["value"] == 1

    def test_an_answer_too_large_is_an_error(self, rig: Rig) -> None:
        """Where neither side takes an answer of that size, the caller is told, and may go on."""
        client = rig.connect(rig.serve(max_message_bytes=LIMIT), max_message_bytes=LIMIT)
        with pytest.raises((kt.RemoteError, kt.RemoteProtocolError)) as caught:
            once(client, "blow_up", GRACE_S, size=2 * LIMIT)
        assert getattr(caught.value, "code", "too_large") == "too_large"
        assert client.call("echo", {"value": 1})["value"] == 1

    def test_a_full_queue_is_answered_busy(self, rig: Rig) -> None:
        """`ServerBusy`, at once, for what finds no place; what has one is answered."""
        rig.skip_unless_concurrent()
        server = rig.serve(workers=1, queue_limit=1)
        running = background(once, rig.connect(server), "hold", key="running")
        rig.service.wait_for_start("running")
        extra = [background(once, rig.connect(server), "hold", key="extra") for _ in range(4)]
        until(lambda: sum(future.done() for future in extra) == 3, "a queue of 1 did not refuse 3 of 4 calls", GRACE_S)
        rig.service.release("running", "extra")
        ends = outcomes([running, *extra])
        assert sorted(type(end).__name__ for end in ends) == ["ServerBusy"] * 3 + ["dict"] * 2
