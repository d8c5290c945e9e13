"""Which endpoint a call goes to: examples, and a model over real breakers."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kato_transport.protocol.balance import Balance
from kato_transport.protocol.breaker import Breaker, BreakerState


def breakers(count: int) -> list[Breaker]:
    """That open with the first failure, for one second."""
    return [Breaker(failures=1, open_s=1.0) for _ in range(count)]


def test_idle_endpoints_take_turns() -> None:
    """Nobody is asked twice before everybody was asked once."""
    balance = Balance(breakers(3))
    assert [balance.pick(0) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_the_one_with_the_least_to_do_is_next() -> None:
    """Whose turn it is matters among equals only."""
    balance = Balance(breakers(3))
    for index in (0, 0, 1, 2, 2):
        balance.started(index)
    assert [balance.pick(0), balance.pick(0)] == [1, 1]
    balance.ended(0)
    balance.ended(0)
    assert balance.pick(0) == 0
    assert balance.outstanding == [0, 1, 2]


def test_a_slow_endpoint_gets_what_it_manages() -> None:
    """One of two takes ten times as long over a call: its share is no half."""
    balance, ends, share = Balance(breakers(2)), [], Counter()
    for now in range(1000):
        for index in [index for at, index in ends if at == now]:
            balance.ended(index)
        index = balance.pick(now)
        assert index is not None
        balance.started(index)
        ends.append((now + (20, 2)[index], index))
        share[index] += 1
    assert share[0] * 4 < share[1]


def test_a_call_that_failed_goes_elsewhere() -> None:
    """And nowhere, where it has been everywhere."""
    balance = Balance(breakers(2))
    assert balance.pick(0, avoid={0}) == 1
    assert balance.pick(0, avoid={0}) == 1
    assert balance.pick(0, avoid={0, 1}) is None


def test_an_endpoint_that_fails_gets_nothing() -> None:
    """However little the others have left."""
    each = breakers(2)
    balance = Balance(each)
    each[0].failed(0)
    for _ in range(5):
        assert balance.pick(0.5) == 1
        balance.started(1)
    each[1].failed(0.5)
    assert balance.pick(0.5) is None


def test_a_dead_endpoint_comes_back_under_the_lightest_load() -> None:
    """One call at a time, which the others could take: when the probe is due, that call is it."""
    each = breakers(2)
    balance = Balance(each)
    each[1].failed(0)
    assert [balance.pick(0.5), balance.pick(0.9)] == [0, 0]
    assert balance.pick(1.0) == 1
    assert [balance.pick(1.0), balance.pick(1.0)] == [0, 0]
    each[1].succeeded()
    assert {balance.pick(1.1), balance.pick(1.1)} == {0, 1}


def test_probes_go_out_one_at_a_time_while_somebody_is_well() -> None:
    """Each may cost its caller a time-out; so the second dead endpoint waits for the first one's probe."""
    each = breakers(3)
    balance = Balance(each)
    each[1].failed(0)
    each[2].failed(0)
    assert [balance.pick(1.0), balance.pick(1.0), balance.pick(1.0)] == [1, 0, 0]
    each[1].failed(1.5)
    assert [balance.pick(1.5), balance.pick(1.5)] == [2, 0]


def test_where_nobody_is_well_whatever_is_due_is_tried() -> None:
    """There is nothing to lose; those with the least to do are first, as ever."""
    each = breakers(2)
    balance = Balance(each)
    for breaker in each:
        breaker.failed(0)
    assert balance.pick(0.5) is None
    assert [balance.pick(1.0), balance.pick(1.0), balance.pick(1.0)] == [0, 1, None]
    balance.started(0)
    assert [balance.pick(2.0), balance.pick(2.0), balance.pick(2.0)] == [1, 0, None]


def test_of_one_endpoint_it_is_always_that() -> None:
    """The usual case, and no special one."""
    balance = Balance([Breaker()])
    assert [balance.pick(0), balance.pick(0)] == [0, 0]
    assert Balance([]).pick(0) is None


def test_threads_lose_no_count(at_once) -> None:
    """What was started and has ended is not outstanding."""
    balance = Balance([Breaker(), Breaker()])

    def call_often(_: int) -> None:
        for _ in range(25):
            index = balance.pick(0)
            assert index is not None
            balance.started(index)
            balance.ended(index)

    at_once(call_often)
    assert balance.outstanding == [0, 0]


class FickleBreaker(Breaker):
    """Opened by another thread between being looked at and being asked."""

    def admits(self, now: float) -> bool:
        self.failed(now)
        return super().admits(now)


def test_an_endpoint_that_fails_while_it_is_being_chosen_is_passed_over() -> None:
    """Breakers are used without the balance, too."""
    balance = Balance([FickleBreaker(1), Breaker(1)])
    assert balance.pick(0) == 1
    assert Balance([FickleBreaker(1), FickleBreaker(1)]).pick(0) is None


class CountingBreaker(Breaker):
    """A real one that counts how often it is asked."""

    asked = 0

    def admits(self, now: float) -> bool:
        self.asked += 1
        return super().admits(now)


class BalanceMachine(RuleBasedStateMachine):
    """The model keeps every call, and when each endpoint was picked last; the breakers are real."""

    @initialize(count=st.integers(1, 4))
    def start(self, count: int) -> None:
        self.breakers = [CountingBreaker(failures=2, open_s=2, longest_open_s=8) for _ in range(count)]
        self.real = Balance(self.breakers)
        self.now = self.picks = 0
        self.picked_at = [0] * count
        self.calls: list[int] = []

    @rule(by=st.integers(0, 3))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(avoid=st.sets(st.integers(0, 3), max_size=2), sent=st.booleans())
    def pick(self, avoid: set[int], sent: bool) -> None:
        expected = self.expected(avoid)
        asked = [breaker.asked for breaker in self.breakers]
        assert self.real.pick(self.now, avoid) == expected
        if expected is not None:
            asked[expected] += 1
            self.picks += 1
            self.picked_at[expected] = self.picks
            if sent:
                self.real.started(expected)
                self.calls.append(expected)
        assert [breaker.asked for breaker in self.breakers] == asked

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 7), outcome=st.sampled_from(["answered", "failed", "cancelled"]))
    def call_ends(self, which: int, outcome: str) -> None:
        index = self.calls.pop(which % len(self.calls))
        self.real.ended(index)
        if outcome == "answered":
            self.breakers[index].succeeded()
        elif outcome == "failed":
            self.breakers[index].failed(self.now)

    @rule(which=st.integers(0, 7))
    def endpoint_dies(self, which: int) -> None:
        breaker = self.breakers[which % len(self.breakers)]
        breaker.failed(self.now)
        breaker.failed(self.now)

    def expected(self, avoid: set[int]) -> int | None:
        allowed = [index for index in range(len(self.breakers)) if index not in avoid]
        ready = {index for index, breaker in enumerate(self.breakers) if breaker.ready_in(self.now) == 0}
        state = [breaker.state for breaker in self.breakers]
        well = [index for index in allowed if state[index] is BreakerState.CLOSED]
        due = [index for index in allowed if state[index] is not BreakerState.CLOSED and index in ready]
        probes = [index for index in range(len(state)) if state[index] is BreakerState.HALF_OPEN and index not in ready]
        chosen_from = due if due and not (well and probes) else well
        if not chosen_from:
            return None
        return min(chosen_from, key=lambda index: (self.calls.count(index), self.picked_at[index], index))

    @invariant()
    def outstanding_is_what_has_not_ended(self) -> None:
        if hasattr(self, "real"):
            assert self.real.outstanding == [self.calls.count(index) for index in range(len(self.breakers))]


TestBalance = BalanceMachine.TestCase
TestBalance.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
