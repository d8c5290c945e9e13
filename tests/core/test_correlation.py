"""Which answer belongs to which request: against a model that is simple enough to be right."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kato_transport.protocol.correlation import ID_BYTES, CorrelationIds, InFlight

keys = st.sampled_from([b"a", b"b", b"c", b"d", b""])
times = st.integers(0, 4)


def test_ids_are_never_repeated_and_say_whose_they_are() -> None:
    """A prefix of the client and a counter."""
    ids = CorrelationIds()
    made = [ids.next() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {len(each) for each in made} == {ID_BYTES}
    assert {each[:8] for each in made} == {ids.prefix}
    assert sorted(made) == made


def test_two_clients_share_no_id() -> None:
    """Their prefixes differ by chance, of one in eighteen quintillions."""
    assert CorrelationIds().prefix != CorrelationIds().prefix
    assert CorrelationIds(b"12345678").next() == b"12345678" + (1).to_bytes(8, "big")


def test_time_is_over_at_the_deadline_and_not_a_moment_before() -> None:
    """As everywhere else."""
    waiting: InFlight[str] = InFlight()
    waiting.add(b"a", 10.0, "a")
    assert waiting.expired(9.999) == []
    assert waiting.expired(10.0) == ["a"]
    assert waiting.answered(b"a") is None


class InFlightMachine(RuleBasedStateMachine):
    """The model is a plain list of (key, deadline, waiter)."""

    @initialize()
    def start(self) -> None:
        self.real: InFlight[int] = InFlight()
        self.model: list[tuple[bytes, int, int]] = []
        self.count = 0

    @rule(key=keys, deadline=times)
    def add(self, key: bytes, deadline: int) -> None:
        self.count += 1
        self.model = [entry for entry in self.model if entry[0] != key]
        self.model.append((key, deadline, self.count))
        self.real.add(key, deadline, self.count)

    @rule(key=keys)
    def answered(self, key: bytes) -> None:
        expected = [waiter for found, _, waiter in self.model if found == key]
        self.model = [entry for entry in self.model if entry[0] != key]
        assert self.real.answered(key) == (expected[0] if expected else None)
        assert self.real.answered(key) is None

    @rule(now=times)
    def expired(self, now: int) -> None:
        expected = [waiter for _, deadline, waiter in self.model if deadline <= now]
        self.model = [entry for entry in self.model if entry[1] > now]
        assert sorted(self.real.expired(now)) == sorted(expected)
        assert self.real.expired(now) == []

    @rule()
    def abandoned(self) -> None:
        expected = [waiter for *_, waiter in self.model]
        self.model = []
        assert sorted(self.real.abandoned()) == sorted(expected)

    @invariant()
    def as_many(self) -> None:
        if hasattr(self, "real"):
            assert len(self.real) == len(self.model)


TestInFlight = InFlightMachine.TestCase
TestInFlight.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
