"""The parts that the state machine is made of."""

from __future__ import annotations

import math

import pytest

from kato_transport_kv_events.stream import Flaw, Reason, State
from kato_transport_kv_events.stream.actions import Begin, Forget, Lost
from kato_transport_kv_events.stream.anchor import Anchor, digest_of
from kato_transport_kv_events.stream.endpoint import Endpoint
from kato_transport_kv_events.stream.held import Held
from kato_transport_kv_events.stream.rounds import Ending, Finding, Round
from kato_transport_kv_events.stream.timers import Timer, Timers
from kato_transport_kv_events.stream.trust import Trust


def test_an_anchor_knows_its_payload_from_itself_or_from_a_digest():
    """A snapshot keeps the digest only."""
    for anchor in (Anchor(1, b"a"), Anchor(1, digest=digest_of(b"a"))):
        assert anchor.is_of(b"a")
        assert not anchor.is_of(b"b")
        assert anchor.fingerprint() == digest_of(b"a")


@pytest.mark.parametrize(
    ("frames", "findings", "ending"),
    [
        ([], [], Ending.EMPTY),
        ([(5, b"5")], [Finding.CONFIRMED], Ending.WHOLE),
        ([(5, b"5"), (6, b"")], [Finding.CONFIRMED, Finding.NEXT], Ending.WHOLE),
        ([(5, b"x")], [Finding.RESTARTED], Ending.WHOLE),
        ([(3, b""), (4, b"")], [Finding.NEXT, Finding.NEXT], Ending.RESTARTED),
        ([(6, b""), (7, b"")], [Finding.LATER, Finding.NEXT], Ending.WHOLE),
        ([(5, b"5"), (7, b""), (8, b"")], [Finding.CONFIRMED, Finding.HOLE, Finding.REPEATED], Ending.HOLE),
        ([(5, b"5"), (5, b"5"), (6, b"")], [Finding.CONFIRMED, Finding.REPEATED, Finding.NEXT], Ending.WHOLE),
    ],
)
def test_an_answer_is_read_against_the_batch_that_is_known(frames, findings, ending):
    """Asked from 5, whose payload is known."""
    asked = Round(5, [Anchor(5, b"5")], -1)
    assert [asked.read(*frame) for frame in frames] == findings
    assert asked.end() is ending


def test_of_several_known_batches_the_last_confirms():
    """And each may contradict."""
    marks = [Anchor(3, b"3"), Anchor(5, b"5")]
    same, other = Round(3, marks, -1), Round(3, marks, -1)
    assert [same.read(3, b"3"), same.read(4, b""), same.read(5, b"5")] == [Finding.NEXT, Finding.NEXT, Finding.CONFIRMED]
    assert [other.read(3, b"3"), other.read(4, b""), other.read(5, b"x")][-1] is Finding.RESTARTED


def test_a_hole_can_be_read_across():
    """Where it is known to stay."""
    asked = Round(0, [], -1)
    assert [asked.read(0, b""), asked.read(2, b"")] == [Finding.NEXT, Finding.HOLE]
    asked.skip_to(2)
    assert asked.read(3, b"") is Finding.NEXT
    assert asked.end() is Ending.WHOLE


def test_held_batches_are_bounded_in_number_and_bytes():
    """What does not fit is not taken; what is taken out makes room."""
    held = Held(2, 10)
    assert [held.add(1, b"12345"), held.add(2, b"123456"), held.add(3, b"12345"), held.add(4, b"")] == [
        True,
        False,
        True,
        False,
    ]
    assert (held.first, held.newest, len(held), held.get(3), held.get(9)) == (1, 3, 2, b"12345", None)
    held.drop_through(1)
    assert held.add(4, b"12345")
    assert held.take_all() == [(3, b"12345"), (4, b"12345")]
    assert (held.first, held.newest, len(held)) == (-1, -1, 0)
    assert held.add(5, b"1234567890")


def test_timers_pass_in_their_order_and_may_be_called_off_meanwhile():
    """Each once."""
    timers = Timers()
    assert timers.due == math.inf
    timers.set(Timer.PROBE, 2.0)
    timers.set(Timer.RETRY, 1.0)
    timers.set(Timer.ANSWER, 3.0)
    timers.set(Timer.ANSWER, 5.0)
    assert timers.due == 1.0
    passed = []
    for timer in timers.passed(4.0):
        passed.append(timer)
        timers.clear(Timer.PROBE)
    assert passed == [Timer.RETRY]
    assert timers.due == 5.0


@pytest.mark.parametrize(
    ("story", "state"),
    [
        ([], State.PARTIAL),
        ([Begin(0)], State.EXACT),
        ([Begin(3)], State.PARTIAL),
        ([Begin(0), Lost(1, 2, False), Forget(Reason.LOST, 0)], State.PARTIAL),
        ([Begin(0), Lost(1, 2, True)], State.DEGRADED),
        ([Begin(0), Lost(1, None, True), Forget(Reason.RESTARTED, 0), Begin(0)], State.EXACT),
        ([Begin(0), Flaw.STORED], State.PARTIAL),
        ([Begin(0), Flaw.EVICTED], State.PARTIAL),
        ([Begin(0), Flaw.REMOVED], State.DEGRADED),
        ([Begin(0), Flaw.BATCH], State.DEGRADED),
        ([Begin(3), Flaw.BATCH, "cleared"], State.EXACT),
        ([Begin(0), "cleared", Flaw.STORED], State.PARTIAL),
    ],
)
def test_trust_follows_from_what_was_done_and_what_was_wrong(story, state):
    """In its order."""
    trust = Trust()
    for event in story:
        match event:
            case Flaw():
                trust.flawed(event)
            case "cleared":
                trust.cleared()
            case _:
                trust.follow(event)
    assert trust.state() is state


def test_an_endpoint_is_left_alone_for_longer_and_longer():
    """Up to a limit, until it answers."""
    endpoint = Endpoint(True, 4.0)
    waits = []
    for _ in range(6):
        endpoint.missed(1.0)
        waits.append(endpoint.back_off_s(0.5))
    assert waits == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    endpoint.heard(batch=False)
    assert (endpoint.back_off_s(0.5), endpoint.unanswered, endpoint.returned) == (0.5, 0, False)


def test_an_endpoint_that_disagrees_three_times_is_refused_until_the_next_connection():
    """Unless it agreed meanwhile."""
    endpoint = Endpoint(True, 4.0)
    assert [endpoint.disagreed(), endpoint.disagreed()] == [False, False]
    endpoint.agreed()
    assert [endpoint.disagreed(), endpoint.disagreed(), endpoint.disagreed()] == [False, False, True]
    assert not endpoint.relied_upon
    endpoint.reconnected()
    assert endpoint.relied_upon
    assert not Endpoint(False, 4.0).relied_upon
