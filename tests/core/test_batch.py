"""The method `batch` at a server: each call in its lane, each answer in its place, and all of it one request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import kato_transport as kt
from kato_transport.batch import MOST_CALLS, batch_items, batch_params
from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.runner import Runner
from kato_transport.service import as_service

from .waiting import WAIT_S, threads_named, until


class Writer:
    """A processor that writes down what it observes, slowly enough for others to come between."""

    name = "Writer"
    time = 0

    def __init__(self, processor_id: str, book: list[tuple[str, str]], gate: threading.Event | None = None) -> None:
        self.id = processor_id
        self.book = book
        self.begun = threading.Event()
        self.gate = gate or threading.Event()
        if gate is None:
            self.gate.set()

    def observe(self, observation: dict[str, Any]) -> dict[str, Any]:
        self.begun.set()
        self.gate.wait(WAIT_S)
        time.sleep(0.0005)
        self.book.append((self.id, observation["unique_id"]))
        return {}

    def learn(self) -> str:
        return ""

    def get_predictions(self, unique_id: Any) -> list[Any]:
        return []


class Desk:
    """Runners of a test, closed at its end."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.runners: list[Runner] = []

    def runner(self, served: Any, **options: Any) -> Runner:
        made = Runner(as_service(served), kt.ServerOptions(codec=MsgpackCodec(), **options), name="batch")
        self.runners.append(made)
        return made


class Asked:
    """A request, with the answers that it was given; there has to be one in the end."""

    def __init__(self, runner: Runner, request: kt.Request, **how: Any) -> None:
        self.answers: list[kt.Response] = []
        runner.start(request, lambda answer: self.answers.append(answer) or 1, **how)

    def answer(self) -> dict[str, Any]:
        until(lambda: self.answers, "no answer was given")
        (answer,) = self.answers
        return dict(answer.body)

    def items(self) -> list[dict[str, Any]]:
        answer = self.answer()
        assert answer["status"] == "okay", answer
        return list(answer["answers"])


def filled(desk: Desk, book: list[tuple[str, str]]) -> tuple[Runner, list[Asked]]:
    """A runner with no room: one call runs until the gate opens, and one waits."""
    writer = Writer("p1", book, desk.gate)
    runner = desk.runner([writer], workers=1, queue_limit=1)
    first = Asked(runner, batch(observe("a")))
    assert writer.begun.wait(WAIT_S)
    return runner, [first, Asked(runner, batch(observe("b")))]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.gate.set()
    for runner in made.runners:
        runner.close()


def batch(*calls: Any, **more: Any) -> kt.Request:
    return kt.Request("batch", {"calls": list(calls)}, **more)


def call(method: str, processor_id: str = "", **params: Any) -> dict[str, Any]:
    return {"method": method, "params": params, **({"processor_id": processor_id} if processor_id else {})}


def observe(unique_id: str, processor_id: str = "") -> dict[str, Any]:
    return call("observe", processor_id, strings=[], vectors=[], emotives={}, unique_id=unique_id)


def double(n: int) -> dict[str, Any]:
    return {"doubled": 2 * n}


def codes(items: list[dict[str, Any]]) -> list[str]:
    return [item.get("code", "") for item in items]


def test_each_item_is_what_its_call_would_have_been_answered(desk: Desk) -> None:
    """In the order of the calls, errors among them."""
    runner = desk.runner({"double": double})
    items = Asked(runner, batch(call("double", n=1), call("halve", n=1), call("double"), call("double", n=2))).items()
    assert items[0] == {"status": "okay", "doubled": 2}
    assert items[1] == {"status": "error", "message": "Unknown method: halve", "code": "unknown_method"}
    assert items[2]["code"] == "invalid_params"
    assert items[3] == {"status": "okay", "doubled": 4}


def test_the_calls_to_one_processor_run_in_their_order(desk: Desk) -> None:
    """However they are mixed with those to another, and whoever else calls."""
    book: list[tuple[str, str]] = []
    runner = desk.runner([Writer("p1", book), Writer("p2", book)], workers=8)
    calls = [observe(f"{number}", f"p{1 + number % 2}") for number in range(60)]
    whole = Asked(runner, batch(*calls))
    after = [Asked(runner, kt.Request("observe", observe(f"after {n}")["params"])) for n in range(5)]
    assert [item["unique_id"] for item in whole.items()] == [f"{number}" for number in range(60)]
    assert [asked.answer()["unique_id"] for asked in after] == [f"after {n}" for n in range(5)]
    for first, name in enumerate(("p1", "p2")):
        seen = [unique_id for processor_id, unique_id in book if processor_id == name]
        later = [f"after {n}" for n in range(5)] if name == "p1" else []
        assert seen == [f"{number}" for number in range(first, 60, 2)] + later


def test_calls_without_a_processor_mean_the_batchs(desk: Desk) -> None:
    """One of their own comes first."""
    book: list[tuple[str, str]] = []
    runner = desk.runner([Writer("p1", book), Writer("p2", book)])
    Asked(runner, batch(observe("a"), observe("b", "p1"), observe("c"), processor_id="p2")).items()
    assert sorted(book) == [("p1", "b"), ("p2", "a"), ("p2", "c")]
    assert codes(Asked(runner, batch(observe("d", "nobody"))).items()) == ["not_found"]


def test_lanes_run_beside_each_other(desk: Desk) -> None:
    """One that is stuck holds up none of the others."""
    book: list[tuple[str, str]] = []
    runner = desk.runner([Writer("p1", book, desk.gate), Writer("p2", book)], workers=2)
    whole = Asked(runner, batch(observe("a", "p1"), observe("b", "p2"), observe("c", "p2")))
    until(lambda: len(book) == 2, "the other lane did not run")
    assert whole.answers == []
    desk.gate.set()
    whole.items()
    assert book == [("p2", "b"), ("p2", "c"), ("p1", "a")]


def test_calls_of_no_lane_run_beside_each_other(desk: Desk) -> None:
    """As many as there are workers."""
    running: set[int] = set()

    def meet() -> dict[str, Any]:
        running.add(threading.get_ident())
        until(lambda: len(running) == 4, "the calls ran one after the other")
        return {}

    assert len(Asked(desk.runner({"meet": meet}, workers=4), batch(*[call("meet")] * 12)).items()) == 12


def test_a_batch_of_many_calls_gives_way_to_another_clients_one(desk: Desk) -> None:
    """That runs after one of the hundred, where one worker shows the order."""
    order: list[str] = []
    runner = desk.runner(
        {"hold": lambda: desk.gate.wait(WAIT_S) and {}, "note": lambda who: order.append(who) or {}}, workers=1
    )
    Asked(runner, kt.Request("hold"), client=b"greedy")
    whole = Asked(runner, batch(*[call("note", who="greedy")] * 100), client=b"greedy")
    other = Asked(runner, kt.Request("note", {"who": "other"}), client=b"other")
    desk.gate.set()
    assert other.answer()["status"] == "okay"
    assert len(whole.items()) == 100
    assert order.index("other") <= 2
    assert order.count("greedy") == 100


def test_inline_calls_run_on_the_callers_thread(desk: Desk) -> None:
    """And the others do not, whatever their order."""

    def thread() -> dict[str, Any]:
        return {"thread": threading.get_ident()}

    runner = desk.runner({"quick": kt.inline(lambda: thread()), "slow": thread})
    items = Asked(runner, batch(call("slow"), call("quick"), call("slow"), call("quick"))).items()
    assert [item["thread"] == threading.get_ident() for item in items] == [False, True, False, True]


def test_everything_runs_in_order_on_the_thread_of_a_server_that_has_but_one(desk: Desk) -> None:
    """Where the caller has it run here, there is an answer at once."""
    book: list[int] = []
    runner = desk.runner({"note": lambda n: book.append(n) or {"thread": threading.get_ident()}})
    asked = Asked(runner, batch(*[call("note", n=n) for n in range(20)]), here=True)
    assert [item["thread"] for item in asked.answers[0].body["answers"]] == [threading.get_ident()] * 20
    assert book == list(range(20))
    assert threads_named("batch-worker") == []


@pytest.mark.parametrize("here", [False, True], ids=["on workers", "here"])
def test_a_call_whose_time_has_passed_is_not_started(desk: Desk, here: bool) -> None:
    """The batch's deadline is each call's."""
    ran: list[int] = []

    def slow(n: int) -> dict[str, Any]:
        ran.append(n)
        time.sleep(0.2)
        return {}

    whole = batch(*[call("slow", n=n) for n in range(3)], timeout_s=0.1)
    items = Asked(desk.runner({"slow": slow}, workers=1), whole, here=here).items()
    assert codes(items) == ["", "deadline_exceeded", "deadline_exceeded"]
    assert ran == [0]


@pytest.mark.parametrize(
    "fields",
    [
        5,
        None,
        "ping",
        [],
        {},
        {"method": 5},
        {"params": {}},
        {"method": "m", "params": [1]},
        {"method": "m", "processor_id": 9},
    ],
    ids=repr,
)
def test_what_is_no_call_is_an_item_that_says_so(desk: Desk, fields: Any) -> None:
    """And the others are answered."""
    items = Asked(desk.runner({"double": double}), batch(fields, call("double", n=2))).items()
    assert codes(items) == ["invalid_params", ""]


def test_a_batch_in_a_batch_is_refused(desk: Desk) -> None:
    """There is nothing it could be good for."""
    inner = {"method": "batch", "params": {"calls": [call("double", n=1)]}}
    items = Asked(desk.runner({"double": double}), batch(inner, call("double", n=2))).items()
    assert codes(items) == ["invalid_params", ""]
    assert "cannot hold another batch" in items[0]["message"]


def test_a_ping_in_a_batch_is_answered(desk: Desk) -> None:
    """With what a ping tells; its caller need not know which methods are the server's own."""
    pings = Asked(desk.runner({"double": double}), batch(call("ping"), call("double", n=1), call("ping"))).items()
    assert [pings[0]["message"], pings[2]["message"]] == ["pong", "pong"]
    assert "batch" in pings[0]["features"]


@pytest.mark.parametrize("params", [{}, {"calls": None}, {"calls": {}}, {"calls": "ping"}], ids=repr)
def test_a_batch_without_a_list_of_calls_is_refused(desk: Desk, params: dict[str, Any]) -> None:
    """As a whole."""
    answer = Asked(desk.runner({}), kt.Request("batch", params)).answer()
    assert (answer["status"], answer["code"]) == ("error", "invalid_params")
    assert "calls must be a list" in answer["message"]


def test_a_thousand_calls_are_taken_and_one_more_is_not(desk: Desk) -> None:
    """Although a client may have only so many requests waiting: a batch is one."""
    runner = desk.runner({"double": double}, workers=2, queue_limit=10, client_queue_limit=5)
    items = Asked(runner, batch(*[call("double", n=n) for n in range(MOST_CALLS)]), client=b"c").items()
    assert [item["doubled"] for item in items] == [2 * n for n in range(MOST_CALLS)]
    answer = Asked(runner, batch(*[call("double", n=0)] * (MOST_CALLS + 1)), client=b"c").answer()
    assert answer["code"] == "invalid_params"
    assert "at most 1000 calls, not 1001 calls" in answer["message"]


def test_an_empty_batch_is_answered_at_once(desk: Desk) -> None:
    """With nothing."""
    assert Asked(desk.runner({}), batch()).items() == []


def test_a_batch_for_which_there_is_no_room_is_refused_as_a_whole(desk: Desk) -> None:
    """So that it may be asked again as a whole, and no lane has holes."""
    book: list[tuple[str, str]] = []
    runner, waiting = filled(desk, book)
    refused = Asked(runner, batch(*[observe(f"c{n}") for n in range(10)]))
    assert refused.answer()["code"] == "busy"
    assert not refused.answers[0].ran
    desk.gate.set()
    assert [asked.items()[0]["unique_id"] for asked in waiting] == ["a", "b"]
    assert book == [("p1", "a"), ("p1", "b")]


def test_what_found_no_room_is_an_item_where_others_ran(desk: Desk) -> None:
    """Then it cannot be asked again as a whole."""
    runner, waiting = filled(desk, [])
    items = Asked(runner, batch(observe("c"), call("get_name"), observe("d"))).items()
    assert codes(items) == ["busy", "", "busy"]
    desk.gate.set()
    assert [len(asked.items()) for asked in waiting] == [1, 1]


def test_a_repeated_batch_runs_once(desk: Desk) -> None:
    """It is one request: one mark, one answer kept."""
    book: list[tuple[str, str]] = []
    runner = desk.runner([Writer("p1", book, desk.gate)])
    server = Asked(runner, kt.Request("ping")).answer()["server"]
    request = batch(observe("a"), observe("b"), once=f"{server}.client.1")
    copies = [Asked(runner, request), Asked(runner, request)]
    desk.gate.set()
    first, second = (asked.items() for asked in copies)
    third = Asked(runner, request).items()
    assert first == second == third
    assert book == [("p1", "a"), ("p1", "b")]
    assert runner.stats()["kept"] == 1


def test_a_batch_that_was_refused_may_run_when_it_is_asked_again(desk: Desk) -> None:
    """Nothing of it is kept."""
    book: list[tuple[str, str]] = []
    runner, waiting = filled(desk, book)
    server = Asked(runner, kt.Request("ping")).answer()["server"]
    request = batch(observe("c"), once=f"{server}.client.1")
    assert Asked(runner, request).answer()["code"] == "busy"
    desk.gate.set()
    assert [len(asked.items()) for asked in waiting] == [1, 1]
    assert len(Asked(runner, request).items()) == 1
    assert book[-1] == ("p1", "c")


def test_a_closed_server_starts_no_further_call_of_a_batch(desk: Desk) -> None:
    """The one that runs cannot be stopped, and the whole waits for it; those behind it are told that they were not run."""
    book: list[tuple[str, str]] = []
    processor = Writer("p1", book, desk.gate)
    runner = desk.runner([processor], drain_s=0.05)
    whole = Asked(runner, batch(observe("a"), observe("b"), observe("c")))
    assert processor.begun.wait(WAIT_S)
    until(lambda: threads_named("batch-worker"), "no worker was started")
    runner.close()
    assert Asked(runner, batch(observe("d"))).answer()["code"] == "busy"
    desk.gate.set()
    until(lambda: threads_named("batch-worker") == [], "a worker was left")
    assert book == [("p1", "a")]
    assert [item.get("code", item["status"]) for item in whole.items()] == ["okay", "busy", "busy"]


def test_a_batch_half_done_when_the_drain_time_is_over_is_answered(desk: Desk) -> None:
    """With what was done, and with `busy` for the rest: nothing that ran is kept from its caller."""
    first, other = threading.Event(), threading.Event()

    def hold() -> dict[str, Any]:
        other.set()
        desk.gate.wait(WAIT_S)
        return {}

    served = {"step": lambda: first.wait(WAIT_S) and {}, "hold": hold}
    runner = desk.runner(served, workers=1, drain_s=0.01)
    whole = Asked(runner, batch(call("step"), call("step")), client=b"one")
    Asked(runner, kt.Request("hold"), client=b"other")
    first.set()
    assert other.wait(WAIT_S)
    assert not runner.close()
    assert [item.get("code", item["status"]) for item in whole.items()] == ["okay", "busy"]
    desk.gate.set()


def test_a_function_cannot_take_the_name() -> None:
    """It would never be called."""
    with pytest.raises(kt.ConfigurationError, match="method 'batch' is answered by every server itself"):
        as_service({"batch": dict})


def test_a_call_in_a_batch_is_answered_in_the_batchs_framing(desk: Desk) -> None:
    """A basic client gets basic answers."""
    runner = desk.runner([Writer("p1", [])])
    framings: tuple[Any, ...] = ("basic", "improved")
    items = [Asked(runner, batch(call("get_predictions"), framing=framing)).items()[0] for framing in framings]
    assert items == [{"status": "okay", "data": []}, {"status": "okay", "predictions": []}]


ANSWERED = batch_params([("a", {}), ("b", {})])


@pytest.mark.parametrize(
    "body",
    [
        {"status": "okay"},
        {"status": "okay", "answers": {}},
        {"status": "okay", "answers": [{}]},
        {"status": "okay", "answers": [{}, 5]},
        {"status": "okay", "answers": [{}, {}, {}]},
    ],
    ids=repr,
)
def test_an_answer_that_does_not_fit_its_batch_is_the_peers_mistake(body: dict[str, Any]) -> None:
    """`RemoteProtocolError`, and not answers in the wrong places."""
    with pytest.raises(kt.RemoteProtocolError, match="expected 2 answers"):
        batch_items(kt.Response(body), ANSWERED)


def test_items_are_maps_or_the_errors_they_stand_for() -> None:
    """With the method each was the answer to."""
    answers = [{"n": 1}, {"status": "error", "message": "full", "code": "busy"}]
    first, second = batch_items(kt.Response.okay(answers=answers), ANSWERED)
    assert first == {"n": 1}
    assert isinstance(second, kt.ServerBusy)
    assert (second.method, second.message) == ("b", "full")


@pytest.mark.parametrize(
    "refusal",
    [{"message": "Unknown method: batch"}, {"message": "no", "code": "unknown_method"}],
    ids=["an old server's", "a new one's"],
)
def test_a_server_that_knows_no_batch_is_told_by_an_error_that_says_what_to_do(refusal: dict[str, str]) -> None:
    """Nothing is sent one by one behind the caller's back."""
    with pytest.raises(kt.RemoteError, match="takes no batches; use call_many") as raised:
        batch_items(kt.Response({"status": "error", **refusal}), ANSWERED)
    assert raised.value.code == "unknown_method"


@pytest.mark.parametrize("code", ["busy", "invalid_params", "deadline_exceeded", "too_large"])
def test_any_other_refusal_of_the_whole_is_raised_as_it_is(code: str) -> None:
    """It is not an item's."""
    with pytest.raises(kt.RemoteError) as raised:
        batch_items(kt.Response.error("no", code), ANSWERED)
    assert raised.value.code == code
