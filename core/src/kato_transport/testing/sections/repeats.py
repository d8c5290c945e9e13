"""Calls that are sent more than once, and run once."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.contracts import Connection
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig
from kato_transport.testing.waiting import GRACE_S, LONG_S, background, outcome, until


class Repeats(Conformance):
    """No call runs twice, however many copies of it arrive; for servers that say `dedupe`, as all do that use `Runner`."""

    def test_a_copy_of_an_answered_call_gets_the_same_answer(self, rig: Rig) -> None:
        """Without another run."""
        connection = rig.connection(rig.serve())
        first = kt.Request("count", {"token": "copied"}, once=f"{_life(connection)}.kit.1")
        answer = connection.request(first)
        assert connection.request(first).body == answer.body
        assert rig.service.runs["copied"] == 1

    def test_a_copy_of_a_call_under_way_waits_for_the_same_answer(self, rig: Rig) -> None:
        """So that whoever lost its connection may ask on another one."""
        rig.skip_unless_concurrent()
        server = rig.serve()
        connection, other = rig.connection(server), rig.connection(server)
        first = kt.Request("hold", {"key": "held"}, once=f"{_life(connection)}.kit.1", timeout_s=LONG_S)
        answers = [background(connection.request, first)]
        rig.service.wait_for_start("held")
        answers.append(background(other.request, first))
        rig.service.release("held")
        assert [outcome(answer).body["key"] for answer in answers] == ["held", "held"]
        assert rig.service.starts("held") == 1

    def test_a_call_made_for_another_server_is_not_run(self, rig: Rig) -> None:
        """It may have run there; a server that was restarted is another one."""
        connection = rig.connection(rig.serve())
        _life(connection)
        answer = connection.request(kt.Request("count", {"token": "strange"}, once="another.kit.1"))
        assert answer.body["code"] == "restarted"
        assert rig.service.runs["strange"] == 0

    def test_every_call_over_a_breaking_connection_is_answered_and_runs_once(self, rig: Rig) -> None:
        """Whether it breaks before the call, or after it has run and before its answer is back."""
        proxy, endpoint = rig.proxy(rig.serve())
        _life(rig.connection(endpoint))
        client = rig.connect(endpoint, copies=3)
        for turn in range(12):
            key = f"turn {turn}"
            if turn % 3 == 1:
                proxy.cut()
            call = background(client.call, "hold", {"key": key})
            rig.service.wait_for_start(key)
            if turn % 3 == 2:
                proxy.down.drop()
            seen = proxy.down.seen
            rig.service.release(key)
            if turn % 3 == 2:
                until(lambda seen=seen: proxy.down.seen > seen, f"the answer of {key} was not sent")  # type: ignore[misc]
                proxy.down.flow()
                proxy.cut()
            assert outcome(call, key, LONG_S + GRACE_S) == {"status": "okay", "key": key}
            assert rig.service.starts(key) == 1


def _life(connection: Connection) -> str:
    """The name of the server's life; skips where it makes no promise of this kind."""
    pong = connection.request(kt.Request("ping", idempotent=True)).body
    if "dedupe" not in pong.get("features", ()):
        pytest.skip("its server does not say `dedupe`")
    return str(pong["server"])
