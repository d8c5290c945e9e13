"""Whether a peer is still there: against models that are simple enough to be right."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kato_transport.protocol.liveness import Liveness, Peers


def test_after_an_interval_of_silence_a_sign_of_life_is_asked_for_once() -> None:
    """And again after the next."""
    peer = Liveness(10, 3, now=0)
    assert [peer.heartbeat_due(now) for now in (9, 10, 11, 19, 20)] == [False, True, False, False, True]


def test_a_peer_is_lost_after_as_many_silent_intervals_as_were_agreed() -> None:
    """Two questions were left unanswered by then."""
    peer = Liveness(10, 3, now=0)
    assert [(peer.heartbeat_due(now), peer.lost(now)) for now in (10, 20, 29)] == [(True, False), (True, False), (False, False)]
    assert peer.lost(30)
    assert peer.heartbeat_due(30)
    assert peer.lost(30), "whoever asks once more has lost it all the same"


def test_anything_heard_is_a_sign_of_life() -> None:
    """The count of silence starts anew."""
    peer = Liveness(10, 3, now=0)
    assert peer.heartbeat_due(10)
    assert peer.heartbeat_due(20)
    assert peer.lost(30)
    peer.heard(29)
    assert not peer.lost(58)
    assert not peer.heartbeat_due(38)
    assert peer.heartbeat_due(39)
    assert peer.silent_for(40) == 11
    assert peer.heartbeat_due(49)
    assert peer.lost(59)


@pytest.mark.parametrize("liveness", [1, 3])
def test_who_was_held_up_itself_asks_before_it_gives_a_peer_up(liveness: int) -> None:
    """A machine that wakes from an hour's sleep has heard nothing for an hour, and says nothing about its peers."""
    peer = Liveness(10, liveness, now=0)
    assert not peer.lost(3600)
    assert peer.heartbeat_due(3600)
    assert not peer.lost(3609)
    peer.heard(3609)
    assert not peer.lost(3619)


@given(st.floats(0, 1e9), st.integers(1, 5))
def test_an_interval_of_nothing_turns_it_off(now: float, liveness: int) -> None:
    """Nothing is due, nobody is lost."""
    peer, peers = Liveness(0, liveness, now=0), Peers(0, liveness)
    peers.heard(b"a", 0)
    assert not peer.heartbeat_due(now)
    assert not peer.lost(now)
    assert peers.forget_silent(now) == 0


class LivenessMachine(RuleBasedStateMachine):
    """The model keeps every moment at which something was heard or asked, and the questions since the last sign of life."""

    @initialize(interval=st.integers(1, 10), liveness=st.integers(1, 4))
    def start(self, interval: int, liveness: int) -> None:
        self.interval, self.liveness, self.now = interval, liveness, 0
        self.real = Liveness(interval, liveness, now=0)
        self.heard_at, self.asked_at = [0], [0]
        self.unanswered: list[int] = []

    @rule(by=st.integers(0, 12))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule()
    def heard(self) -> None:
        self.heard_at.append(self.now)
        self.unanswered.clear()
        self.real.heard(self.now)

    @rule()
    def due(self) -> None:
        expected = self.now - max(*self.heard_at, *self.asked_at) >= self.interval
        if expected:
            self.asked_at.append(self.now)
            self.unanswered.append(self.now)
        assert self.real.heartbeat_due(self.now) == expected

    @invariant()
    def lost_when_questions_are_left_unanswered(self) -> None:
        if hasattr(self, "real"):
            silent = self.now - max(self.heard_at)
            assert self.real.silent_for(self.now) == silent
            waited_out = [asked for asked in self.unanswered if self.now >= asked + self.interval]
            lost = len(waited_out) >= max(1, self.liveness - 1)
            assert self.real.lost(self.now) == lost
            assert not lost or silent >= self.interval * self.liveness


class PeersMachine(RuleBasedStateMachine):
    """The model is a plain dict of who was heard when."""

    LIMIT = 3

    @initialize()
    def start(self) -> None:
        self.real = Peers(5, 2, limit=self.LIMIT)
        self.model: dict[bytes, int] = {}
        self.now = 0

    @rule(identity=st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), later=st.integers(0, 4))
    def heard(self, identity: bytes, later: int) -> None:
        self.now += later
        self.real.heard(identity, self.now)
        self.model.pop(identity, None)
        self.model[identity] = self.now
        if len(self.model) > self.LIMIT:
            del self.model[min(self.model, key=lambda known: self.model[known])]

    @rule(later=st.integers(0, 20))
    def forget(self, later: int) -> None:
        self.now += later
        silent = [identity for identity, seen in self.model.items() if self.now - seen >= 10]
        for identity in silent:
            del self.model[identity]
        assert self.real.forget_silent(self.now) == len(silent)

    @invariant()
    def as_many(self) -> None:
        if hasattr(self, "real"):
            assert len(self.real) == len(self.model) <= self.LIMIT


TestLivenessModel = LivenessMachine.TestCase
TestLivenessModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPeersModel = PeersMachine.TestCase
TestPeersModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("limit", [1, 100])
def test_a_flood_of_identities_is_bounded(limit: int) -> None:
    """Whoever makes one up per message fills no memory."""
    peers = Peers(30, 3, limit=limit)
    for number in range(10 * limit):
        peers.heard(str(number).encode(), number)
    assert len(peers) == limit
