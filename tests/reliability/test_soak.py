"""The soak runs, ends when it is told to, and finds what there is to be found."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.soak.ledger import Account, Audit

from .conftest import ROOT

ENOUGH_S = 150.0
"""For a soak of a few seconds on a machine that is busy otherwise."""

ZEROS = {
    "untyped errors",
    "wrong answers",
    "overdue calls",
    "observations lost",
    "observations doubled",
    "observations disordered",
    "observations refused but run",
    "threads leaked",
    "tasks leaked",
    "descriptors leaked",
    "processes that hung, died or ended in disorder",
}

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def soak() -> Iterator[Start]:
    """Starts a soak that reports as JSON; one that is still under way at the end is told to end, as its processes would not."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bench.soak", "--json", *arguments]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The report of a soak that ended with status 0."""
    out, err = process.communicate(timeout=ENOUGH_S)
    assert process.returncode == 0, f"{out}\n{err}"
    report: dict[str, Any] = json.loads(out)
    assert report["ok"]
    return report


@pytest.mark.timeout(240)
def test_a_few_seconds_of_everything_end_in_order(soak: Start) -> None:
    """All that must be 0 is, and all that has to happen did."""
    report = ended(soak("--seconds", "5", "--seed", "1"))
    assert dict.fromkeys(ZEROS, 0) == report["zeros"]
    assert report["seed"] == 1
    assert report["seconds"] >= 5
    assert report["shifts"] >= 1
    assert report["complaints"] == []
    assert 0.5 * report["calls"] < report["answered"] == report["calls"] - sum(report["typed_errors"].values())
    observations = report["observations"]
    assert set(observations) == {"acknowledged", "refused", "unknown", "late"}
    assert 0.3 * report["answered"] < observations["acknowledged"] <= report["answered"]
    assert sum(report["faults"].values()) >= 1
    assert report["messages"]["repeated"] > 0
    assert report["repeats_answered_from_the_reply_cache"] > 0
    assert set(report["restarts"]) == {"alpha", "beta", "gamma", "proxy"}
    assert report["reconnections"] >= 0
    for curve in report["memory"].values():
        assert curve["most_mib"] >= curve["last_mib"] > 0
        assert curve["slope_mib_per_minute"] is None or isinstance(curve["slope_mib_per_minute"], float)


@pytest.mark.timeout(240)
def test_an_interrupt_ends_it_with_the_report_so_far(soak: Start) -> None:
    """Ctrl-C; its servers and clients, in process groups of their own or deaf to it, end in order."""
    process = soak("--minutes", "60")
    assert process.stderr is not None
    assert any("clients are at work" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    report = ended(process)
    assert (report["shifts"], report["zeros"]) == (1, dict.fromkeys(ZEROS, 0))


ACKNOWLEDGED = Account(last=4, unknown=frozenset(), refused=frozenset())
UNCLEAR = Account(last=4, unknown=frozenset({2}), refused=frozenset({3}))


@pytest.mark.parametrize(
    ("account", "memory", "findings"),
    [
        (ACKNOWLEDGED, ["a.1", "a.2", "a.3", "a.4"], {}),
        (ACKNOWLEDGED, ["a.1", "a.3", "a.4"], {"lost": 1}),
        (ACKNOWLEDGED, ["a.1", "a.2", "a.2", "a.3", "a.4"], {"doubled": 1}),
        (ACKNOWLEDGED, ["a.1", "a.3", "a.2", "a.4"], {"disordered": 1}),
        (ACKNOWLEDGED, ["a.1", "a.2", "a.3", "a.4", "b.1"], {"doubled": 1}),
        (UNCLEAR, ["a.1", "a.4"], {}),
        (UNCLEAR, ["a.1", "a.4", "a.2"], {}),
        (UNCLEAR, ["a.1", "a.4", "a.2", "a.2"], {"doubled": 1}),
        (UNCLEAR, ["a.1", "a.3", "a.4"], {"refused but run": 1}),
    ],
)
def test_a_memory_is_held_against_what_its_clients_know(account: Account, memory: list[str], findings: dict[str, int]) -> None:
    """Acknowledged: once and in order; refused: not at all; unknown: at most once, wherever."""
    audit = Audit()
    assert len(audit.look(memory, {"a": account})) == sum(findings.values())
    assert audit.findings == findings


def test_what_nobody_knew_of_may_come_late_but_once() -> None:
    """After the memory was cleared, too; anything else from before must not come again."""
    audit = Audit()
    audit.look(["a.1", "a.4"], {"a": UNCLEAR})
    later = Account(last=5, unknown=frozenset(), refused=frozenset())
    assert audit.look(["a.2", "a.5"], {"a": later}) == []
    assert (audit.late, audit.findings) == (1, {})
    assert len(audit.look(["a.2", "a.1", "a.3"], {"a": later})) == 3
    assert audit.findings == {"doubled": 3}
