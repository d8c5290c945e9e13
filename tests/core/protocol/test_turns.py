"""Whose job is next: examples, and every order of events against the rules."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kato_transport.protocol.turns import Turns

A, B, C = b"a", b"b", b"c"


def waiting(*jobs: tuple[bytes, str]) -> Turns[int]:
    """Jobs numbered from 0."""
    turns: Turns[int] = Turns()
    for number, (client, lane) in enumerate(jobs):
        turns.add(client, lane, number)
    return turns


def one_by_one(turns: Turns[int]) -> list[int]:
    """What is started where nothing runs beside anything."""
    order = []
    while (task := turns.start()) is not None:
        order.append(task[2])
        turns.ended(task[1])
    return order


def test_clients_take_turns() -> None:
    """Each client's own jobs stay in order."""
    turns = waiting((A, ""), (A, ""), (A, ""), (B, ""), (B, ""), (C, ""))
    assert one_by_one(turns) == [0, 3, 5, 1, 4, 2]


def test_who_comes_back_joins_at_the_end() -> None:
    """Coming one at a time is no way past those who wait."""
    turns = waiting((A, ""), (B, ""), (C, ""))
    assert turns.start() == (A, "", 0)
    turns.add(A, "", 3)
    assert one_by_one(turns) == [1, 2, 3]


def test_a_lane_keeps_the_order_in_which_its_jobs_came() -> None:
    """Whoever sent them."""
    turns = waiting((A, "lane"), (A, "lane"), (B, "lane"), (A, "lane"))
    assert one_by_one(turns) == [0, 1, 2, 3]


def test_a_lane_runs_one_job_at_a_time() -> None:
    """The next can be started when that has ended."""
    turns = waiting((A, "lane"), (B, "lane"))
    assert turns.start() == (A, "lane", 0)
    assert turns.start() is None
    turns.ended("lane")
    assert turns.start() == (B, "lane", 1)


def test_lanes_and_what_is_in_none_take_turns_too() -> None:
    """Within one client: a lane of many jobs holds up nothing beside it, and is not held up."""
    turns = waiting((A, ""), (A, ""), (A, ""), (A, "one"), (A, "one"), (A, "two"))
    assert one_by_one(turns) == [0, 3, 1, 5, 2, 4]


def test_who_is_behind_anothers_job_in_a_lane_waits_for_that_only() -> None:
    """And not for the hundred others which that client sent before it."""
    turns = waiting(*[(A, "")] * 100, (A, "lane"), (B, "lane"), (B, "lane"))
    order = one_by_one(turns)
    assert order[:6] == [0, 100, 1, 101, 2, 102]
    assert sorted(order) == list(range(103))


def test_only_what_can_be_started_at_once_asks_for_a_thread() -> None:
    """Of a lane that is its first job."""
    turns: Turns[int] = Turns()
    assert [turns.add(A, "lane", 0), turns.add(B, "lane", 1), turns.add(A, "", 2)] == [True, False, True]
    assert turns.start() is not None
    assert not turns.add(C, "lane", 3)


def test_what_waits_can_be_taken_out_at_once() -> None:
    """Also what is behind a job that runs; its lane is free again once that has ended."""
    turns = waiting((A, "lane"), (A, "lane"), (B, "lane"), (A, "other"), (B, ""))
    assert turns.start() == (A, "lane", 0)
    assert sorted(turns.rest()) == [1, 2, 3, 4]
    assert turns.start() is None
    turns.ended("lane")
    assert (turns._lines, list(turns._order), turns._lanes) == ({}, [], {})


def test_nothing_is_kept_of_what_is_over() -> None:
    """Clients and lanes come and go."""
    turns = waiting(*[(b"%d" % number, f"lane {number}") for number in range(50)], (A, ""))
    assert len(one_by_one(turns)) == 51
    assert (turns._lines, list(turns._order), turns._lanes) == ({}, [], {})


class TurnsMachine(RuleBasedStateMachine):
    """The model keeps every job, and how many were started since it came."""

    @initialize(clients=st.integers(1, 4), lanes=st.integers(0, 3))
    def begin(self, clients: int, lanes: int) -> None:
        self.real: Turns[int] = Turns()
        self.clients = [b"%d" % number for number in range(clients)]
        self.lanes = ["", *(f"lane {number}" for number in range(lanes))]
        self.waits: dict[int, tuple[bytes, str]] = {}
        self.bound: dict[int, int] = {}
        self.running: list[str] = []
        self.added = self.started = 0

    @rule(client=st.integers(0, 3), lane=st.integers(0, 3), count=st.integers(1, 4))
    def add(self, client: int, lane: int, count: int) -> None:
        sent_by, put_in = self.clients[client % len(self.clients)], self.lanes[lane % len(self.lanes)]
        for _ in range(count):
            assert self.real.add(sent_by, put_in, self.added) == (not put_in or self.is_free(put_in))
            ahead = list(self.waits.values()).count((sent_by, ""))
            self.waits[self.added] = (sent_by, put_in)
            self.bound[self.added] = self.started + (ahead + 1) * 2 * len(self.clients)
            self.added += 1

    @rule()
    def start(self) -> None:
        task = self.real.start()
        assert (task is not None) == (self.startable() > 0)
        if task is None:
            return
        client, lane, job = task
        assert self.waits.pop(job) == (client, lane)
        self.started += 1
        if lane:
            assert lane not in self.running, "two of one lane at a time"
            assert all(job < other for other, (_, of) in self.waits.items() if of == lane), "out of order in its lane"
        else:
            assert all(job < other for other, of in self.waits.items() if of == (client, "")), "out of its client's order"
            assert self.started <= self.bound[job], "others had more than their turns"
        self.running.append(lane)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 7))
    def end(self, which: int) -> None:
        self.real.ended(self.running.pop(which % len(self.running)))

    @rule()
    def rest(self) -> None:
        assert sorted(self.real.rest()) == sorted(self.waits)
        self.waits.clear()

    def is_free(self, lane: str) -> bool:
        return lane not in self.running and all(lane != of for _, of in self.waits.values())

    def startable(self) -> int:
        lanes = [lane for _, lane in self.waits.values()]
        return lanes.count("") + len(set(lanes) - {""} - set(self.running))

    @invariant()
    def nothing_is_kept_of_what_is_over(self) -> None:
        if hasattr(self, "real"):
            used = [lane for _, lane in self.waits.values()] + self.running
            assert set(self.real._lanes) == set(used) - {""}
            assert len(self.real._order) == len(self.real._lines)
            assert all(self.real._order)


TestTurns = TurnsMachine.TestCase
TestTurns.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
