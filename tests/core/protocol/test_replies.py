"""The reply cache: examples, and a model that forgets nothing and so knows whether something ran twice."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kato_transport.protocol import replies as module
from kato_transport.protocol.replies import MAX_WAITERS, Replies, Verdict


def answered(replies: Replies[str, str], key: str, now: float, size: int = 1) -> None:
    """A request that arrives, runs and is answered at that moment."""
    assert replies.begin(key, "first") is Verdict.RUN
    assert replies.settle(key, f"answer to {key}", size, now) == ["first"]


def test_a_repeat_of_an_answered_request_gets_its_answer() -> None:
    """And is not run."""
    replies: Replies[str, str] = Replies()
    answered(replies, "c.1", 0)
    assert replies.begin("c.1", "again") == "answer to c.1"
    assert replies.begin("c.1", "once more") == "answer to c.1"
    assert replies.repeats == 2


def test_a_repeat_of_a_request_under_way_waits_for_the_same_answer() -> None:
    """Both get it when the run ends."""
    replies: Replies[str, str] = Replies()
    assert replies.begin("c.1", "first") is Verdict.RUN
    assert replies.begin("c.1", "second") is Verdict.WAIT
    assert replies.settle("c.1", "answer", 1, 2) == ["first", "second"]
    assert replies.repeats == 1


def test_a_repeat_whose_first_copy_was_lost_is_run() -> None:
    """Nothing has been let go that it could have been: what was is older, or another client's."""
    replies: Replies[str, str] = Replies(max_entries=1)
    for key in ("c.1", "other.9", "c.3"):
        answered(replies, key, 0)
    assert replies.evicted == 2
    assert replies.begin("c.2", "again") is Verdict.RUN


def test_a_copy_that_may_have_run_and_been_let_go_is_not_run() -> None:
    """Nobody can tell; the client has to hear that. It may be the first copy itself that comes late."""
    replies: Replies[str, str] = Replies(max_entries=1)
    answered(replies, "c.2", 1)
    answered(replies, "c.3", 5)
    assert replies.begin("c.2", "again") is Verdict.FORGOTTEN
    assert replies.begin("c.1", "late") is Verdict.FORGOTTEN
    assert len(replies) == 1


def test_what_was_not_run_may_be_asked_for_again() -> None:
    """The server was busy; all copies hear it, and the next one is new."""
    replies: Replies[str, str] = Replies()
    assert replies.begin("c.1", "first") is Verdict.RUN
    assert replies.begin("c.1", "second") is Verdict.WAIT
    assert replies.release("c.1") == ["first", "second"]
    assert replies.begin("c.1", "third") is Verdict.RUN
    assert replies.evicted == 0


def test_the_oldest_answers_go_first() -> None:
    """Of too many, and of too many bytes."""
    by_number: Replies[str, str] = Replies(max_entries=2)
    by_bytes: Replies[str, str] = Replies(max_bytes=20)
    for replies in (by_number, by_bytes):
        for now, key in enumerate(["c.1", "c.2", "c.3"]):
            answered(replies, key, now, size=10)
        assert replies.begin("c.1", "again") is Verdict.FORGOTTEN
        assert [replies.begin(key, "again") for key in ("c.2", "c.3")] == ["answer to c.2", "answer to c.3"]
        assert (len(replies), replies.bytes, replies.evicted) == (2, 20, 1)


def test_an_answer_that_alone_is_too_much_pushes_out_no_other() -> None:
    """It is not kept, and its repeat is told so."""
    replies: Replies[str, str] = Replies(max_bytes=20)
    answered(replies, "c.1", 0, size=10)
    answered(replies, "c.2", 1, size=21)
    assert replies.begin("c.1", "again") == "answer to c.1"
    assert replies.begin("c.2", "again") is Verdict.FORGOTTEN
    assert (replies.bytes, replies.evicted) == (10, 1)


def test_answers_are_kept_for_their_time() -> None:
    """It counts from when they were given; they go when the next one comes."""
    replies: Replies[str, str] = Replies(max_age_s=10)
    assert replies.begin("c.1", "first") is Verdict.RUN
    replies.settle("c.1", "answer", 1, 5)
    answered(replies, "c.2", 14.9)
    assert replies.begin("c.1", "again") == "answer"
    answered(replies, "c.3", 15)
    assert (len(replies), replies.evicted) == (2, 1)
    assert replies.begin("c.1", "again") is Verdict.FORGOTTEN


def test_what_is_under_way_is_never_let_go() -> None:
    """However long it takes, and however much else is answered."""
    replies: Replies[str, str] = Replies(max_entries=1, max_age_s=10)
    assert replies.begin("c.0", "first") is Verdict.RUN
    for now in range(1, 100):
        answered(replies, f"c.{now:x}", 100 * now)
    assert replies.begin("c.0", "again") is Verdict.WAIT


def test_no_more_copies_wait_than_any_client_sends() -> None:
    """One that floods hears so, and takes nothing from those that wait."""
    replies: Replies[int, str] = Replies()
    assert replies.begin("c.1", 0) is Verdict.RUN
    verdicts = [replies.begin("c.1", waiter) for waiter in range(1, 20)]
    assert verdicts == [Verdict.WAIT] * (MAX_WAITERS - 1) + [Verdict.CROWDED] * (20 - MAX_WAITERS)
    assert replies.settle("c.1", "answer", 1, 0) == list(range(MAX_WAITERS))


def test_clients_that_are_long_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number remembered for each is bounded, too."""
    monkeypatch.setattr(module, "MAX_CLIENTS", 3)
    replies: Replies[str, str] = Replies(max_entries=0)
    for key in ("a.1", "b.1", "c.1", "a.2", "d.1"):
        answered(replies, key, 0)
    assert replies.begin("b.1", "late") is Verdict.RUN
    assert replies.begin("a.1", "late") is Verdict.FORGOTTEN


@pytest.mark.parametrize("end", [lambda replies: replies.settle("c.1", "answer", 1, 0), lambda replies: replies.release("c.1")])
def test_a_run_ends_once(end) -> None:
    """Ending what is not under way is a mistake of the caller, and said."""
    replies: Replies[str, str] = Replies()
    answered(replies, "c.1", 0)
    with pytest.raises(KeyError):
        end(replies)


def test_threads_run_nothing_twice_and_leave_nobody_waiting(at_once) -> None:
    """Copies of the same requests reach four threads at once."""
    replies: Replies[tuple[int, str], str] = Replies()
    keys = [f"c.{number:x}" for number in range(25)]

    def serve(number: int) -> tuple[list[str], list[tuple[int, str]]]:
        ran, told = [], []
        for key in keys:
            found = replies.begin(key, (number, key))
            if found is Verdict.RUN:
                ran.append(key)
                told += replies.settle(key, "answer", 1, 0)
            elif found == "answer":
                told.append((number, key))
        return ran, told

    results = at_once(serve)
    assert Counter(key for ran, _ in results for key in ran) == Counter(keys)
    assert Counter(waiter for _, told in results for waiter in told) == Counter(
        (number, key) for number in range(len(results)) for key in keys
    )


some = st.integers(0, 7)
sizes = st.sampled_from([1, 2, 5, 12])


class RepliesMachine(RuleBasedStateMachine):
    """Clients whose messages get lost, come late and are sent again, and a server that remembers little.

    The model never forgets: it knows what ran, and what was let go.
    """

    MAX_BYTES, MAX_AGE_S = 10, 12

    @initialize(max_entries=st.integers(0, 3))
    def start(self, max_entries: int) -> None:
        self.max_entries = max_entries
        self.real: Replies[int, str] = Replies(max_entries, self.MAX_BYTES, self.MAX_AGE_S)
        self.now = self.copies = self.repeats = 0
        self.sent: list[str] = []
        self.under_way: dict[str, list[int]] = {}
        self.kept: list[tuple[str, int, int]] = []
        self.gone: list[str] = []
        self.ran: set[str] = set()

    @rule(by=st.integers(1, 5))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(client=st.sampled_from("ab"), arrives=st.booleans())
    def request_is_sent(self, client: str, arrives: bool) -> None:
        self.sent.append(f"{client}.{len(self.sent):x}")
        if arrives:
            assert self.arrives(self.sent[-1]) is Verdict.RUN

    @rule(client=st.sampled_from("ab"), size=sizes)
    def request_is_quick(self, client: str, size: int) -> None:
        """It overtakes those that arrived before it."""
        self.request_is_sent(client, True)
        self.run_ends(len(self.under_way) - 1, size)

    @precondition(lambda self: self.sent)
    @rule(which=some)
    def a_copy_arrives(self, which: int) -> None:
        """A repeat, or the first copy, late."""
        self.arrives(self.sent[-1 - which % len(self.sent)])

    @precondition(lambda self: self.under_way)
    @rule(which=some, size=sizes)
    def run_ends(self, which: int, size: int) -> None:
        key, waiters = self.some_under_way(which)
        assert self.real.settle(key, f"answer to {key}", size, self.now) == waiters
        if size > self.MAX_BYTES:
            self.gone.append(key)
            return
        self.kept.append((key, size, self.now))
        while self.kept and not self.within_bounds():
            self.gone.append(self.kept.pop(0)[0])

    @precondition(lambda self: self.under_way)
    @rule(which=some)
    def run_is_refused(self, which: int) -> None:
        key, waiters = self.some_under_way(which)
        self.ran.remove(key)
        assert self.real.release(key) == waiters

    def within_bounds(self) -> bool:
        too_old = self.now - self.kept[0][2] >= self.MAX_AGE_S
        return len(self.kept) <= self.max_entries and sum(size for _, size, _ in self.kept) <= self.MAX_BYTES and not too_old

    def arrives(self, key: str) -> object:
        self.copies += 1
        found = self.real.begin(key, self.copies)
        assert found is not Verdict.RUN or key not in self.ran, "run twice"
        assert found == self.expected(key)
        if found is Verdict.RUN:
            self.ran.add(key)
            self.under_way[key] = [self.copies]
        elif found is Verdict.WAIT:
            self.under_way[key].append(self.copies)
        self.repeats += found is Verdict.WAIT or isinstance(found, str)
        return found

    def expected(self, key: str) -> object:
        if key in self.under_way:
            return Verdict.WAIT if len(self.under_way[key]) < MAX_WAITERS else Verdict.CROWDED
        if any(key == known for known, *_ in self.kept):
            return f"answer to {key}"
        client, number = key.split(".")
        if any(gone.startswith(client) and int(gone[2:], 16) >= int(number, 16) for gone in self.gone):
            return Verdict.FORGOTTEN
        return Verdict.RUN

    def some_under_way(self, which: int) -> tuple[str, list[int]]:
        key = list(self.under_way)[which % len(self.under_way)]
        return key, self.under_way.pop(key)

    @invariant()
    def counts_agree_and_bounds_hold(self) -> None:
        if not hasattr(self, "real"):
            return
        assert len(self.real) == len(self.kept) + len(self.under_way)
        assert self.real.bytes == sum(size for _, size, _ in self.kept) <= self.MAX_BYTES
        assert self.real.evicted == len(self.gone)
        assert self.real.repeats == self.repeats


TestReplies = RepliesMachine.TestCase
TestReplies.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
