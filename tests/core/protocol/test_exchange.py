"""Ids and waiters together: clients that call, and a network that loses, delays, repeats, misdelivers and invents answers."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from kato_transport.protocol.correlation import CorrelationIds, InFlight


def test_an_answer_after_its_deadline_finds_nobody_and_disturbs_nobody() -> None:
    """The next call of the same client gets its own answer."""
    ids, waiting = CorrelationIds(), InFlight[str]()
    late, next_one = ids.next(), ids.next()
    waiting.add(late, 1.0, "first call")
    assert waiting.expired(1.0) == ["first call"]
    waiting.add(next_one, 2.0, "second call")
    assert waiting.answered(late) is None
    assert waiting.answered(next_one) == "second call"


def test_threads_that_share_a_client_share_no_id(at_once) -> None:
    """As each takes the next number in one step."""
    ids = CorrelationIds()
    made = [each for part in at_once(lambda _: [ids.next() for _ in range(100)]) for each in part]
    assert len(set(made)) == 4 * 100


class Client:
    """One that calls, as a transport's client does."""

    def __init__(self, prefix: bytes) -> None:
        self.ids = CorrelationIds(prefix)
        self.in_flight: InFlight[tuple[bytes, int]] = InFlight()


class ExchangeMachine(RuleBasedStateMachine):
    """The model is a call's fate: open, or how it ended. Each waiter is its client's prefix and the number of its call."""

    calls = Bundle("calls")

    @initialize()
    def start(self) -> None:
        self.now = 0
        self.clients = [Client(bytes([number]) * 8) for number in range(3)]
        self.sent: list[bytes] = []
        self.deadline: dict[tuple[bytes, int], int] = {}
        self.open: set[tuple[bytes, int]] = set()

    @rule(target=calls, who=st.integers(0, 2), timeout=st.integers(1, 6))
    def call(self, who: int, timeout: int) -> tuple[int, bytes, tuple[bytes, int]]:
        client, waiter = self.clients[who], (self.clients[who].ids.prefix, len(self.sent))
        correlation = client.ids.next()
        assert correlation not in self.sent
        self.sent.append(correlation)
        self.deadline[waiter] = self.now + timeout
        self.open.add(waiter)
        client.in_flight.add(correlation, self.now + timeout, waiter)
        return who, correlation, waiter

    @rule(call=calls)
    def answer_arrives(self, call: tuple[int, bytes, tuple[bytes, int]]) -> None:
        """The first in time, the second time, or late: it ends this call or none."""
        who, correlation, waiter = call
        assert self.clients[who].in_flight.answered(correlation) == (waiter if waiter in self.open else None)
        self.open.discard(waiter)

    @rule(call=calls, astray=st.integers(1, 2))
    def answer_goes_astray(self, call: tuple[int, bytes, tuple[bytes, int]], astray: int) -> None:
        who, correlation, _ = call
        assert self.clients[(who + astray) % 3].in_flight.answered(correlation) is None

    @rule(who=st.integers(0, 2), correlation=st.binary(max_size=20))
    def answer_is_invented(self, who: int, correlation: bytes) -> None:
        if correlation not in self.sent:
            assert self.clients[who].in_flight.answered(correlation) is None

    @rule(by=st.integers(0, 3))
    def time_passes(self, by: int) -> None:
        self.now += by
        ended = [waiter for client in self.clients for waiter in client.in_flight.expired(self.now)]
        assert sorted(ended) == sorted(waiter for waiter in self.open if self.deadline[waiter] <= self.now)
        self.open.difference_update(ended)

    @rule(who=st.integers(0, 2))
    def connection_is_given_up(self, who: int) -> None:
        client = self.clients[who]
        abandoned = client.in_flight.abandoned()
        assert sorted(abandoned) == sorted(waiter for waiter in self.open if waiter[0] == client.ids.prefix)
        self.open.difference_update(abandoned)

    @rule(who=st.integers(0, 2))
    def client_starts_anew(self, who: int) -> None:
        """As in a forked child: answers to what the parent asked are none of its business."""
        self.connection_is_given_up(who)
        self.clients[who] = Client(bytes([100 + len(self.sent) % 100, who]) * 4)

    @invariant()
    def every_call_is_open_or_has_ended(self) -> None:
        if hasattr(self, "clients"):
            assert sum(len(client.in_flight) for client in self.clients) == len(self.open)


TestExchange = ExchangeMachine.TestCase
TestExchange.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
