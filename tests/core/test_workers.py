"""Worker threads: lanes keep their order and run beside each other, queues end, and no thread is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kato_transport.workers import AGAIN, Workers

from .waiting import WAIT_S, threads_named, until

NAME = "lanes"


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What holds jobs back; opened at the end, whatever happened."""
    event = threading.Event()
    yield event
    event.set()


def test_jobs_of_one_lane_run_in_order_and_one_at_a_time() -> None:
    """Whichever threads take them."""
    workers, done = Workers(4, 1000, 1000, NAME), []
    running = 0

    def job(number: int) -> None:
        nonlocal running
        running += 1
        assert running == 1
        done.append(number)
        running -= 1

    for number in range(500):
        assert workers.submit("lane", lambda number=number: job(number))  # type: ignore[misc]
    assert workers.close(WAIT_S)
    assert done == list(range(500))


def test_lanes_run_beside_each_other(gate: threading.Event) -> None:
    """Three that meet at a barrier do meet."""
    workers, met = Workers(3, 10, 10, NAME), threading.Barrier(4)
    for lane in ("a", "b", "c"):
        workers.submit(lane, lambda: met.wait(WAIT_S))  # type: ignore[arg-type, return-value]
    met.wait(WAIT_S)
    assert workers.close(WAIT_S)


def test_jobs_without_a_lane_run_beside_each_other() -> None:
    """The empty lane is no lane."""
    workers, met = Workers(3, 10, 10, NAME), threading.Barrier(4)
    for _ in range(3):
        workers.submit("", lambda: met.wait(WAIT_S))  # type: ignore[arg-type, return-value]
    met.wait(WAIT_S)
    assert workers.close(WAIT_S)


def test_a_slow_lane_takes_one_thread_only(gate: threading.Event) -> None:
    """However many jobs wait in it, the others have the rest."""
    workers, done = Workers(2, 100, 100, NAME), threading.Event()
    for _ in range(50):
        workers.submit("slow", lambda: gate.wait(WAIT_S))  # type: ignore[arg-type, return-value]
    workers.submit("quick", done.set)
    assert done.wait(WAIT_S)
    gate.set()
    assert workers.close(WAIT_S)


def test_a_full_queue_refuses_and_takes_again_once_there_is_room(gate: threading.Event) -> None:
    """What was refused has not been queued."""
    workers, started, done = Workers(1, 2, 2, NAME), threading.Event(), []
    workers.submit("", lambda: (started.set(), gate.wait(WAIT_S)))  # type: ignore[arg-type, return-value]
    assert started.wait(WAIT_S)
    assert workers.submit("", lambda: done.append(1))
    assert workers.submit("lane", lambda: done.append(2))
    assert not workers.submit("", lambda: done.append(3))
    assert not workers.submit("lane", lambda: done.append(4))
    gate.set()
    until(lambda: len(done) == 2, "the queued jobs did not run")
    assert workers.submit("", lambda: done.append(5))
    assert workers.close(WAIT_S)
    assert done == [1, 2, 5]


def test_a_job_that_fails_stops_neither_its_thread_nor_its_lane(caplog: pytest.LogCaptureFixture) -> None:
    """And is logged."""
    workers, done = Workers(1, 10, 10, NAME), []

    def fail() -> None:
        raise RuntimeError("burst")

    for _ in range(3):
        workers.submit("lane", fail)
    workers.submit("lane", lambda: done.append(1))
    assert workers.close(WAIT_S)
    assert done == [1]
    assert "a job of lanes failed" in caplog.text


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt], ids=lambda kind: kind.__name__)
def test_a_job_that_would_leave_the_process_ends_only_itself(leave: type[BaseException]) -> None:
    """A handler that calls `sys.exit` takes neither its thread nor its lane with it."""
    workers, done = Workers(1, 10, 10, NAME), threading.Event()

    def exit_() -> None:
        raise leave

    workers.submit("lane", exit_)
    workers.submit("lane", done.set)
    try:
        assert done.wait(WAIT_S)
    finally:
        workers.close(0)


def test_threads_are_started_as_they_are_needed() -> None:
    """One job at a time needs one, whatever the limit."""
    workers = Workers(8, 10, 10, "frugal")
    assert threads_named("frugal") == []
    for _ in range(20):
        done = threading.Event()
        workers.submit("", done.set)
        assert done.wait(WAIT_S)
        until(lambda: workers._idle == 1, "the thread did not come back")
    assert threads_named("frugal") == ["frugal-0"]
    assert workers.close(WAIT_S)


def test_closing_gives_what_was_taken_its_time_and_leaves_no_thread(gate: threading.Event) -> None:
    """And takes nothing more."""
    workers, done = Workers(3, 100, 100, "leaving"), []
    for number in range(30):
        workers.submit(str(number % 4), lambda: (gate.wait(WAIT_S), done.append(1)))  # type: ignore[arg-type, return-value]
    opener = threading.Timer(0.05, gate.set)
    opener.start()
    assert workers.close(WAIT_S)
    opener.join()
    assert len(done) == 30
    assert not workers.submit("", lambda: None)
    assert threads_named("leaving") == []
    assert workers.close(WAIT_S)


@pytest.mark.parametrize("lane", ["", "lane"], ids=["without a lane", "in a lane"])
def test_jobs_still_waiting_when_the_drain_time_is_over_are_dropped(gate: threading.Event, lane: str) -> None:
    """Nothing begins after the close, and the threads go once what ran has ended."""
    workers, started, done = Workers(1, 10, 10, "dropping"), threading.Event(), []
    workers.submit(lane, lambda: (started.set(), gate.wait(WAIT_S)))  # type: ignore[arg-type, return-value]
    assert started.wait(WAIT_S)
    workers.submit(lane, lambda: done.append(1))
    assert not workers.close(0.01)
    gate.set()
    until(lambda: threads_named("dropping") == [], "a thread was left")
    assert done == []


@pytest.mark.parametrize("lane", ["", "lane"], ids=["without a lane", "in a lane"])
def test_what_was_never_started_is_handed_back_at_the_close(gate: threading.Event, lane: str) -> None:
    """Once, and not what runs: whoever sent it is to be told."""
    workers, started, dropped = Workers(1, 10, 10, NAME), threading.Event(), []
    workers.submit(lane, lambda: (started.set(), gate.wait(WAIT_S)))
    assert started.wait(WAIT_S)
    waiting = [lambda: None, lambda: None]
    for job in waiting:
        workers.submit(lane, job)
    assert not workers.close(0.01, dropped.append)
    assert dropped == waiting
    workers.close(0, dropped.append)
    assert dropped == waiting


def test_closing_twice_and_closing_unused_does_nothing() -> None:
    """Promptly."""
    workers = Workers(2, 2, 2, NAME)
    assert workers.close(WAIT_S)
    assert workers.close(WAIT_S)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=60))
def test_every_job_runs_once_and_every_lane_in_order(threads: int, lanes: list[str]) -> None:
    """Whatever the mixture."""
    workers, done = Workers(threads, 1000, 1000, NAME), []
    for number, lane in enumerate(lanes):
        assert workers.submit(lane, lambda job=(lane, number): done.append(job))  # type: ignore[misc]
    assert workers.close(WAIT_S)
    assert sorted(done) == sorted((lane, number) for number, lane in enumerate(lanes))
    for lane in ("a", "b", "c"):
        order = [number for name, number in done if name == lane]
        assert order == sorted(order)


def test_no_client_takes_more_than_its_share() -> None:
    """What it sends beyond is refused, while others find room; and it has room again once one of its jobs has ended."""
    workers, gate, ran = Workers(1, 100, 3, NAME), threading.Event(), []
    try:
        taken = [workers.submit("", lambda: gate.wait(WAIT_S), b"greedy") for _ in range(5)]
        assert taken == [True] * 3 + [False] * 2
        assert workers.submit("", lambda: ran.append("other"), b"other")
        gate.set()
        until(lambda: ran, "the other client's job did not run")
        until(lambda: workers.submit("", lambda: ran.append("again"), b"greedy"), "no room came about")
    finally:
        gate.set()
        workers.close(WAIT_S)


@pytest.mark.parametrize("lane", ["", "its own"], ids=["without a lane", "in a lane of its own"])
def test_a_client_with_many_jobs_waiting_delays_anothers_one_by_two_of_them(lane: str) -> None:
    """While 499 wait: those next in the greedy client's two lines are run before, and one thread may show the order."""
    workers, started, gate, done = Workers(1, 1000, 500, NAME), threading.Event(), threading.Event(), []
    try:
        workers.submit("", lambda: (started.set(), gate.wait(WAIT_S)), b"greedy")  # type: ignore[arg-type, return-value]
        assert started.wait(WAIT_S)
        for number in range(499):
            assert workers.submit("greedy" if number % 2 else "", lambda: done.append(b"greedy"), b"greedy")
        assert workers.submit(lane, lambda: done.append(b"other"), b"other")
    finally:
        gate.set()
        assert workers.close(WAIT_S)
    assert done.index(b"other") == 2
    assert len(done) == 500


def repeating(times: int, run: Callable[[], object]) -> Callable[[], object]:
    """A job that is to be run so often."""
    left = iter(range(times - 1, -1, -1))

    def job() -> object:
        run()
        return AGAIN if next(left) else None

    return job


def test_a_job_that_is_to_be_run_again_gives_way_first(gate: threading.Event) -> None:
    """Another client's job is run after one turn of it, and not after all of them."""
    workers, started, done = Workers(1, 10, 10, NAME), threading.Event(), []
    workers.submit("", lambda: (started.set(), gate.wait(WAIT_S)))
    assert started.wait(WAIT_S)
    assert workers.submit("", repeating(100, lambda: done.append(b"greedy")), b"greedy")
    assert workers.submit("", lambda: done.append(b"other"), b"other")
    gate.set()
    assert workers.close(WAIT_S)
    assert done.index(b"other") == 1
    assert done.count(b"greedy") == 100


def test_a_job_that_is_to_be_run_again_is_one_of_its_clients_share(gate: threading.Event) -> None:
    """Until it has ended, and not longer."""
    workers, turns = Workers(1, 10, 1, NAME), []
    try:
        assert workers.submit("", repeating(3, lambda: (turns.append(1), len(turns) < 3 or gate.wait(WAIT_S))), b"client")
        until(lambda: len(turns) == 3, "the job was not run again")
        assert not workers.submit("", lambda: None, b"client")
        gate.set()
        until(lambda: workers.submit("", lambda: None, b"client"), "no room came about")
        until(lambda: workers._of_client == {}, "something of the client was left")
    finally:
        gate.set()
        assert workers.close(WAIT_S)


def test_a_job_that_is_to_be_run_again_is_waited_for_at_the_close(gate: threading.Event) -> None:
    """All its turns, as those of any that was taken."""
    workers, turns = Workers(2, 10, 10, NAME), []
    workers.submit("", repeating(50, lambda: (gate.wait(WAIT_S), turns.append(1))))
    opener = threading.Timer(0.05, gate.set)
    opener.start()
    assert workers.close(WAIT_S)
    opener.join()
    assert len(turns) == 50


def test_a_job_that_is_to_be_run_again_is_not_once_the_drain_time_is_over(gate: threading.Event) -> None:
    """And its thread goes."""
    workers, started, turns = Workers(1, 10, 10, "once more"), threading.Event(), []
    workers.submit("", repeating(50, lambda: (started.set(), gate.wait(WAIT_S), turns.append(1))))
    assert started.wait(WAIT_S)
    assert not workers.close(0.01)
    gate.set()
    until(lambda: threads_named("once more") == [], "a thread was left")
    assert turns == [1]


def test_a_job_that_no_thread_can_be_had_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """And runs when it is given again; threads that are there do the work of those that cannot be had."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers, done = Workers(4, 10, 10, NAME), []
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert not workers.submit("", lambda: done.append(1))
    assert threads_named(NAME) == []
    first, gate = threading.Event(), threading.Event()
    assert workers.submit("", lambda: first.set() or gate.wait(WAIT_S))
    assert first.wait(WAIT_S)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert workers.submit("", lambda: done.append(2))
    gate.set()
    assert workers.close(WAIT_S)
    assert done == [2]


def test_a_lent_job_is_run_by_whoever_lends_its_thread() -> None:
    """On no thread of the workers', which are not even started."""
    workers, ran = Workers(2, 10, 10, "lending"), []
    lent = workers.lend("", lambda: ran.append(threading.current_thread()), b"client")
    assert lent is not None
    assert ran == []
    lent()
    assert ran == [threading.current_thread()]
    assert threads_named("lending") == []
    assert workers._of_client == {}
    assert workers.close(WAIT_S)


def test_a_lent_job_keeps_its_lane_and_the_next_of_it_runs_afterwards() -> None:
    """On a thread of the workers'; other lanes run meanwhile."""
    workers, done, other = Workers(3, 10, 10, NAME), [], threading.Event()
    lent = workers.lend("lane", lambda: done.append(1))
    assert lent is not None
    assert workers.lend("lane", lambda: done.append(0)) is None
    assert workers.submit("lane", lambda: done.append(2))
    assert workers.submit("", other.set)
    assert other.wait(WAIT_S)
    assert done == []
    lent()
    assert workers.close(WAIT_S)
    assert done == [1, 2]


def test_nothing_is_lent_while_something_waits(gate: threading.Event) -> None:
    """It would overtake that."""
    workers, started = Workers(2, 10, 10, NAME), threading.Event()
    workers.submit("lane", lambda: (started.set(), gate.wait(WAIT_S)))
    assert started.wait(WAIT_S)
    workers.submit("lane", lambda: None)
    assert workers.lend("", lambda: None) is None
    gate.set()
    assert workers.close(WAIT_S)


def test_nothing_is_lent_to_a_single_thread() -> None:
    """What it runs may keep what belongs to it."""
    workers = Workers(1, 10, 10, NAME)
    assert workers.lend("", lambda: None) is None
    assert workers.close(WAIT_S)


def test_a_lent_job_is_one_of_as_many_as_may_run(gate: threading.Event) -> None:
    """No more run together than there are threads, and what waits for its end runs then."""
    workers, started, done = Workers(2, 10, 10, NAME), threading.Event(), []
    lent = workers.lend("", lambda: done.append("lent"))
    assert lent is not None
    workers.submit("", lambda: (started.set(), gate.wait(WAIT_S)))
    assert started.wait(WAIT_S)
    assert workers.lend("", lambda: None) is None
    third = threading.Event()
    assert workers.submit("", lambda: (done.append("third"), third.set()))
    lent()
    assert third.wait(WAIT_S)
    assert done == ["lent", "third"]
    gate.set()
    assert workers.close(WAIT_S)


def test_a_lent_job_is_one_of_its_clients_share() -> None:
    """Until it has ended."""
    workers = Workers(4, 10, 1, NAME)
    lent = workers.lend("", lambda: None, b"client")
    assert lent is not None
    assert workers.lend("", lambda: None, b"client") is None
    assert not workers.submit("", lambda: None, b"client")
    lent()
    assert workers.submit("", lambda: None, b"client")
    assert workers.close(WAIT_S)


def test_a_lent_job_is_waited_for_at_the_close() -> None:
    """And nothing is lent any more."""
    workers, done = Workers(2, 10, 10, NAME), []
    lent = workers.lend("", lambda: done.append(1))
    assert lent is not None
    assert not workers.close(0.01)
    assert workers.lend("", lambda: None) is None
    lent()
    assert done == [1]

    workers = Workers(2, 10, 10, NAME)
    lent = workers.lend("", lambda: done.append(2))
    assert lent is not None
    late = threading.Timer(0.05, lent)
    late.start()
    assert workers.close(WAIT_S)
    late.join()
    assert done == [1, 2]


def test_a_lent_job_that_fails_frees_its_lane(caplog: pytest.LogCaptureFixture) -> None:
    """The thread that was lent hears nothing of it."""

    def exit_() -> None:
        raise SystemExit

    workers, done = Workers(2, 10, 10, NAME), []
    lent = workers.lend("lane", exit_)
    assert lent is not None
    lent()
    assert workers.submit("lane", lambda: done.append(1))
    assert workers.close(WAIT_S)
    assert done == [1]
    assert "a job of lanes failed" in caplog.text


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.booleans()), max_size=60))
def test_every_job_runs_once_and_every_lane_in_order_where_some_are_lent(threads: int, jobs: list[tuple[str, bool]]) -> None:
    """Whatever the mixture, from two threads that lend themselves; no more run together than may."""
    workers, done, most, lock = Workers(threads, 1000, 1000, NAME), [], [0, 0], threading.Lock()

    def run(job: tuple[int, str, int]) -> None:
        with lock:
            most[0] += 1
            most[1] = max(most)
            done.append(job)
        with lock:
            most[0] -= 1

    def bring(who: int) -> None:
        for number, (lane, lends) in enumerate(jobs):
            lane = lane and f"{lane}{who}"

            def job(job: tuple[int, str, int] = (who, lane, number)) -> None:
                run(job)

            lent = workers.lend(lane, job) if lends else None
            if lent is None:
                assert workers.submit(lane, job)
            else:
                lent()

    bringers = [threading.Thread(target=bring, args=(who,)) for who in range(2)]
    for bringer in bringers:
        bringer.start()
    for bringer in bringers:
        bringer.join(WAIT_S)
    assert workers.close(WAIT_S)
    assert len(done) == len(set(done)) == 2 * len(jobs)
    assert most[1] <= threads
    for name in {name for _, name, _ in done if name}:
        order = [number for _, lane, number in done if lane == name]
        assert order == sorted(order)
