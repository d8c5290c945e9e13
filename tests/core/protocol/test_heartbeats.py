"""Both sides of the heartbeat together: clients that ask for signs of life, a server that counts them, and wires that fail."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kato_transport.protocol.liveness import Liveness, Peers


def test_an_idle_client_that_heartbeats_is_kept_for_ever() -> None:
    """And takes its server for present."""
    client, server = Liveness(10, 3, now=0), Peers(10, 3)
    server.heard(b"client", 0)
    for now in range(1000):
        assert not client.lost(now)
        if client.heartbeat_due(now):
            server.heard(b"client", now)
            client.heard(now)
        assert server.forget_silent(now) == 0


@pytest.mark.parametrize("asks_first", [True, False])
def test_both_sides_notice_a_cut_wire_after_the_same_time(asks_first: bool) -> None:
    """Three intervals after what was heard last, whether the client first asks or first looks what came of asking."""
    client, server = Liveness(10, 3, now=0), Peers(10, 3)
    server.heard(b"client", 0)
    lost, forgotten = [], []
    for now in range(31):
        if asks_first:
            client.heartbeat_due(now)
        if client.lost(now):
            lost.append(now)
        if server.forget_silent(now):
            forgotten.append(now)
        client.heartbeat_due(now)
    assert lost == forgotten == [30]


class Wire:
    """A client's way to the server, and what the model knows of both ends."""

    def __init__(self) -> None:
        self.up = True
        self.was_cut = False
        self.passed_at = 0
        """When a message went over it last."""
        self.client_since = 0
        """When the client heard something last, or connected anew."""
        self.looked = 0
        """How often the client looked since then: every tick, unless it was held up."""
        self.looked_while_up = 0
        """How often it looked since the wire was mended."""


class HeartbeatMachine(RuleBasedStateMachine):
    """Time goes in ticks, and each tick every client that is not held up looks whether its server is lost, then whether to ask.

    A message and its answer take no time.
    """

    NAMES = (b"a", b"b", b"c")
    some_name = st.sampled_from(NAMES)

    @initialize(interval=st.integers(1, 4), liveness=st.integers(2, 4))
    def start(self, interval: int, liveness: int) -> None:
        self.interval, self.liveness = interval, liveness
        self.limit = interval * liveness
        self.now = 0
        self.server = Peers(interval, liveness)
        self.clients = {name: Liveness(interval, liveness, now=0) for name in self.NAMES}
        self.wires = {name: Wire() for name in self.NAMES}
        self.known: set[bytes] = set()
        for name in self.NAMES:
            self.message(name)

    @rule(name=some_name)
    def wire_fails_or_is_mended(self, name: bytes) -> None:
        wire = self.wires[name]
        wire.up, wire.was_cut, wire.looked_while_up = not wire.up, True, 0

    @rule(name=some_name)
    def call(self, name: bytes) -> None:
        self.message(name)

    @rule(ticks=st.integers(1, 15), held_up=st.none() | some_name)
    def time_passes(self, ticks: int, held_up: bytes | None) -> None:
        for _ in range(ticks):
            self.now += 1
            for name in self.NAMES:
                if name != held_up:
                    self.looks(name)
            silent = {name for name in self.known if self.now - self.wires[name].passed_at >= self.limit}
            assert self.server.forget_silent(self.now) == len(silent)
            self.known -= silent
            assert len(self.server) == len(self.known)

    def looks(self, name: bytes) -> None:
        client, wire = self.clients[name], self.wires[name]
        wire.looked += 1
        wire.looked_while_up += wire.up
        assert client.silent_for(self.now) == self.now - wire.client_since
        if client.lost(self.now):
            self.is_given_up(name)
        else:
            assert wire.looked < self.limit, "too late"
            if client.heartbeat_due(self.now):
                self.message(name)

    def is_given_up(self, name: bytes) -> None:
        wire = self.wires[name]
        assert self.now - wire.client_since >= self.limit, "too soon"
        assert wire.was_cut, "the server was always there, however long the client was held up"
        assert wire.looked_while_up <= self.interval, "the server has been there for long enough to be asked"
        self.clients[name] = Liveness(self.interval, self.liveness, now=self.now)
        wire.client_since, wire.looked = self.now, 0

    def message(self, name: bytes) -> None:
        wire = self.wires[name]
        if wire.up:
            self.server.heard(name, self.now)
            self.clients[name].heard(self.now)
            self.known.add(name)
            wire.passed_at = wire.client_since = self.now
            wire.looked = 0


TestHeartbeats = HeartbeatMachine.TestCase
TestHeartbeats.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
