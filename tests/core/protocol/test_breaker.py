"""The circuit breaker: examples that tell its life, and a model that knows only when it opened and when a probe went out."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kato_transport.protocol.breaker import Breaker, BreakerState


def opened(failures: int = 3, open_s: float = 1.0, longest_open_s: float = 8.0) -> Breaker:
    """One that opened at 0."""
    breaker = Breaker(failures, open_s, longest_open_s)
    for _ in range(failures):
        breaker.failed(0)
    return breaker


def test_a_new_one_lets_everything_through() -> None:
    """Nothing is known against the peer."""
    breaker = Breaker()
    assert breaker.state is BreakerState.CLOSED
    assert all(breaker.admits(now) for now in (0, 0, 1))
    assert breaker.ready_in(0) == 0


def test_it_opens_with_the_last_of_its_failures() -> None:
    """And not with the one before."""
    breaker = Breaker(failures=3, open_s=1.0)
    breaker.failed(0)
    breaker.failed(5)
    assert breaker.admits(5)
    breaker.failed(9)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.admits(9.999)
    assert breaker.ready_in(9.25) == 0.75


def test_failures_count_only_in_a_row() -> None:
    """An answer in between begins the count anew."""
    breaker = Breaker(failures=2)
    for now in range(10):
        breaker.failed(now)
        breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED


def test_after_its_time_one_probe_goes_through() -> None:
    """Who comes second is told no."""
    breaker = opened()
    assert breaker.admits(1.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.admits(1.0)


def test_an_answer_closes_it() -> None:
    """Even a late one that belongs to no probe: the peer is there."""
    probed, waiting = opened(), opened()
    assert probed.admits(1.0)
    for breaker in (probed, waiting):
        breaker.succeeded()
        assert breaker.state is BreakerState.CLOSED
        assert breaker.admits(1.0)


def test_each_failed_probe_doubles_the_time_up_to_the_longest() -> None:
    """So a peer that stays away is asked less and less, and yet for ever."""
    breaker, now, waits = opened(open_s=1.0, longest_open_s=5.0), 0.0, []
    for _ in range(5):
        waits.append(breaker.ready_in(now))
        now += waits[-1]
        assert breaker.admits(now)
        breaker.failed(now)
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert breaker.opened == 6


def test_a_recovered_peer_begins_with_the_short_time_again() -> None:
    """What it was like before is forgiven."""
    breaker = opened(failures=1)
    assert breaker.admits(1)
    breaker.failed(1)
    breaker.succeeded()
    breaker.failed(10)
    assert breaker.ready_in(10) == 1.0


def test_a_probe_that_nobody_reports_on_blocks_the_next_for_a_while_only() -> None:
    """Its caller may have been cancelled."""
    breaker = opened(open_s=1.0)
    assert breaker.admits(3.0)
    assert breaker.ready_in(3.0) == 1.0
    assert not breaker.admits(3.999)
    assert breaker.admits(4.0)
    assert not breaker.admits(4.0)


def test_calls_from_before_it_opened_keep_it_open_no_longer() -> None:
    """They fail one by one as their time passes; that says nothing of now."""
    breaker = opened(open_s=1.0)
    breaker.failed(0.9)
    assert breaker.opened == 1
    assert breaker.admits(1.0)


def test_of_no_failures_it_never_opens() -> None:
    """That is how it is turned off."""
    breaker = Breaker(failures=0)
    for now in range(100):
        breaker.failed(now)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admits(100)
    assert breaker.opened == 0


def test_of_many_that_ask_at_once_one_is_the_probe(at_once) -> None:
    """Whoever it is, each time one is due."""
    breaker = opened(open_s=1.0)
    answers = at_once(lambda _: [breaker.admits(now) for now in range(1, 21)])
    assert sum(answer for part in answers for answer in part) == 20


def test_no_failure_is_lost_between_threads(at_once) -> None:
    """All together are enough to open it."""
    breaker = Breaker(failures=4 * 25)
    at_once(lambda _: [breaker.failed(0) for _ in range(25)])
    assert breaker.state is BreakerState.OPEN
    assert breaker.opened == 1


class BreakerMachine(RuleBasedStateMachine):
    """The model keeps when it opened since the last answer, and when the last probe since then went out."""

    @initialize(limit=st.integers(0, 3), open_s=st.integers(1, 3), longest=st.integers(3, 20))
    def start(self, limit: int, open_s: int, longest: int) -> None:
        self.limit, self.open_s, self.longest = limit, open_s, longest
        self.real = Breaker(limit, open_s, longest)
        self.now = self.opened = 0
        self.answered()

    @rule(by=st.integers(0, 10))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule()
    def answered(self) -> None:
        self.failures = 0
        self.openings: list[int] = []
        self.probe: int | None = None
        self.real.succeeded()

    @rule()
    def failed(self) -> None:
        self.failures += 1
        waiting_for_its_time = self.openings and self.probe is None
        if self.limit and self.failures >= self.limit and not waiting_for_its_time:
            self.openings.append(self.now)
            self.probe = None
            self.opened += 1
        self.real.failed(self.now)

    @rule()
    def asked(self) -> None:
        expected = self.ready_at() <= self.now
        if self.openings and expected:
            self.probe = self.now
        assert self.real.admits(self.now) is expected

    @rule()
    def asked_when_it_says(self) -> None:
        self.now += self.real.ready_in(self.now)
        self.asked()
        assert self.probe == (self.now if self.openings else None)

    def ready_at(self) -> int:
        if not self.openings:
            return self.now
        if self.probe is not None:
            return self.probe + self.open_s
        return self.openings[-1] + min(self.open_s * 2 ** (len(self.openings) - 1), self.longest)

    @invariant()
    def as_the_model_says(self) -> None:
        if not hasattr(self, "real"):
            return
        state = (
            BreakerState.HALF_OPEN if self.probe is not None else BreakerState.OPEN if self.openings else BreakerState.CLOSED
        )
        assert self.real.state is state
        assert self.real.opened == self.opened
        assert self.real.ready_in(self.now) == max(0, self.ready_at() - self.now)


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
