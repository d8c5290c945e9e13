"""What every server does with a request: pings, lanes, deadlines, refusals and error answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import kato_transport as kt
from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.runner import Runner
from kato_transport.service import as_service

from .waiting import WAIT_S, threads_named, until


class Desk:
    """Runners of a test, with the answers that they gave."""

    def __init__(self) -> None:
        self.answers: list[kt.Response] = []
        self.gate = threading.Event()
        self.runners: list[Runner] = []

    def runner(self, served: Any, **options: Any) -> Runner:
        made = Runner(as_service(served), kt.ServerOptions(codec=MsgpackCodec(), **options), ("correlation",), "desk")
        self.runners.append(made)
        return made

    def wait(self) -> dict[str, Any]:
        """What a slow handler does."""
        self.gate.wait(WAIT_S)
        return {}

    def has(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.answers) >= count

    def only(self, runner: Runner, request: kt.Request) -> kt.Response:
        """The answer to a request, once it is there."""
        self.answers.clear()
        runner.start(request, self.answers.append)
        until(self.has(1), "no answer was given")
        return self.answers[0]


class Mute(Exception):
    """One that fails once more when it is asked what happened."""

    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.fixture
def desk() -> Iterator[Desk]:
    """One whose runners are closed at the end."""
    made = Desk()
    yield made
    made.gate.set()
    for runner in made.runners:
        runner.close()


def test_ping_is_answered_at_once_with_the_features(desk: Desk) -> None:
    """The transport's own, those of every server, and the codec."""
    runner = desk.runner({"wait": desk.wait}, workers=1)
    runner.start(kt.Request("wait"), desk.answers.append)
    runner.start(kt.Request("ping"), desk.answers.append)
    (pong,) = desk.answers
    assert {"correlation", "dedupe", "msgpack"} <= set(pong.body["features"])
    assert "processors" not in pong.body


def test_ping_belongs_to_the_server_and_not_to_the_service(desk: Desk) -> None:
    """A service that breaks at everything is still there."""

    def burst(request: kt.Request) -> kt.Response:
        raise RuntimeError("burst")

    assert desk.only(desk.runner(burst), kt.Request("ping")).body["message"] == "pong"


def test_an_inline_handler_runs_on_the_callers_thread(desk: Desk) -> None:
    """And the others do not."""
    inline = kt.inline(lambda: {"thread": threading.get_ident()})
    runner = desk.runner({"quick": inline, "slow": lambda: {"thread": threading.get_ident()}})
    assert desk.only(runner, kt.Request("quick")).body["thread"] == threading.get_ident()
    assert desk.only(runner, kt.Request("slow")).body["thread"] != threading.get_ident()


def test_a_request_whose_time_has_passed_is_not_started(desk: Desk) -> None:
    """It is answered, for whoever still reads."""
    ran: list[int] = []
    runner = desk.runner({"wait": desk.wait, "late": lambda: ran.append(1) or {}}, workers=1)
    runner.start(kt.Request("wait"), lambda answer: None)
    runner.start(kt.Request("late", timeout_s=0.001), desk.answers.append)
    threading.Timer(0.02, desk.gate.set).start()
    until(desk.has(1), "no answer was given")
    assert desk.answers[0].body["code"] == "deadline_exceeded"
    assert desk.answers[0].body["message"] == "late: not started, its 0.001 s had passed"
    assert ran == []


def test_a_service_is_told_what_is_left_of_the_time_of_a_request_that_waited(desk: Desk) -> None:
    """So that what it asks of others meanwhile ends with it."""
    told: list[float] = []

    def service(request: kt.Request) -> kt.Response:
        told.append(request.timeout_s)
        desk.gate.wait(WAIT_S)
        return kt.Response.okay()

    runner = desk.runner(service, workers=1)
    runner.start(kt.Request("first", timeout_s=60.0), desk.answers.append)
    runner.start(kt.Request("second", timeout_s=60.0), desk.answers.append)
    until(lambda: told, "the first one began")
    threading.Timer(0.1, desk.gate.set).start()
    until(desk.has(2), "both were answered")
    assert 0 < told[1] <= 59.9


def test_a_full_queue_is_answered_busy(desk: Desk) -> None:
    """At once, and nothing of it runs."""
    runner = desk.runner({"wait": desk.wait}, workers=1, queue_limit=1)
    for _ in range(10):
        runner.start(kt.Request("wait"), desk.answers.append)
    busy = [answer for answer in desk.answers if answer.body.get("code") == "busy"]
    assert len(busy) >= 8
    desk.gate.set()
    until(desk.has(10), "an answer is missing")


def test_a_closing_server_answers_busy(desk: Desk) -> None:
    """So that clients ask again, elsewhere or later."""
    runner = desk.runner({"nothing": dict})
    assert runner.close()
    answer = desk.only(runner, kt.Request("nothing"))
    assert (answer.body["code"], answer.body["message"]) == ("busy", "the server is shutting down; try again later")


def test_closing_says_whether_a_handler_is_still_running(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """It cannot be stopped, but it is logged, and its thread goes once it ends."""
    started = threading.Event()
    runner = desk.runner({"wait": lambda: started.set() or desk.wait()}, drain_s=0.01)
    runner.start(kt.Request("wait"), desk.answers.append)
    assert started.wait(WAIT_S)
    assert not runner.close()
    assert "still running" in caplog.text
    desk.gate.set()
    until(lambda: threads_named("desk-worker") == [], "a thread was left")


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (kt.ServiceError("no such gene", "not_found"), "not_found", "no such gene"),
        (kt.RemoteError("m", "upstream says no", "invalid_params"), "invalid_params", "upstream says no"),
        (
            kt.CallTimeout("m", 1.0, "tcp://h:1"),
            "deadline_exceeded",
            "m: sent to tcp://h:1, no answer within 1 s; it may have run",
        ),
        (kt.ConnectFailed("nobody there"), "unavailable", "nobody there"),
        (kt.ConnectionLost("cut"), "connection_lost", "cut"),
        (ValueError("two\n  lines"), "internal", "m failed: ValueError: two lines"),
        (KeyError("x"), "internal", "m failed: KeyError: 'x'"),
        (RuntimeError("long " * 100), "internal", None),
        (Mute(), "internal", "m failed: Mute: it says nothing of itself"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_exception_becomes_an_error_answer(desk: Desk, raised: Exception, code: str, message: str | None) -> None:
    """Its text, its kind as code, in one line, of a length that a log can take."""

    def fail(request: kt.Request) -> kt.Response:
        raise raised

    body = desk.only(desk.runner(fail), kt.Request("m")).body
    assert (body["status"], body["code"]) == ("error", code)
    assert message is None or body["message"] == message
    assert len(body["message"]) < 300
    assert "\n" not in body["message"]


@pytest.mark.parametrize("given", [{"status": "okay"}, None, "okay", 5], ids=repr)
def test_a_service_that_answers_with_no_response_is_an_internal_error(desk: Desk, given: Any) -> None:
    """The caller hears of it, and no transport has to survive it."""
    answer = desk.only(desk.runner(lambda request: given), kt.Request("m"))
    assert isinstance(answer, kt.Response)
    assert answer.body["code"] == "internal"


def test_what_was_never_started_when_the_drain_time_is_over_is_answered_busy(desk: Desk) -> None:
    """It did not run, and its caller may ask another server."""
    started, ran = threading.Event(), []
    served = {"wait": lambda: started.set() or desk.wait(), "note": lambda: ran.append(1) or {}}
    runner = desk.runner(served, workers=1, drain_s=0.01)
    runner.start(kt.Request("wait"), lambda answer: None)
    assert started.wait(WAIT_S)
    for _ in range(3):
        runner.start(kt.Request("note"), desk.answers.append)
    assert not runner.close()
    assert [answer.body["code"] for answer in desk.answers] == ["busy"] * 3
    assert not any(answer.ran for answer in desk.answers)
    desk.gate.set()
    until(lambda: threads_named("desk-worker") == [], "a thread was left")
    assert ran == []
    assert len(desk.answers) == 3


def test_who_lends_its_thread_is_given_what_a_worker_would_do(desk: Desk) -> None:
    """Only that: what is answered at once is, and what has to wait waits."""
    runner = desk.runner(
        {"who": lambda: {"thread": threading.current_thread().name}, "fast": kt.inline(lambda: {"at": "once"})}
    )
    assert runner.start(kt.Request("ping"), desk.answers.append, lend=True) is None
    assert runner.start(kt.Request("fast"), desk.answers.append, lend=True) is None
    assert len(desk.answers) == 2
    job = runner.start(kt.Request("who"), desk.answers.append, lend=True)
    assert job is not None
    assert len(desk.answers) == 2
    job()
    assert desk.answers[2].body["thread"] == threading.current_thread().name
    assert threads_named("desk") == []


def test_a_closing_server_lends_nothing(desk: Desk) -> None:
    """It answers at once that it is busy."""
    runner = desk.runner({"who": dict})
    runner.close()
    assert runner.start(kt.Request("who"), desk.answers.append, lend=True) is None
    assert desk.answers[0].body["code"] == "busy"
