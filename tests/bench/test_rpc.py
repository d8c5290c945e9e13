"""The bench of calls: every row is there, a wrong answer or a broken peer costs its own row only, and nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from bench import peers
from bench.rpc.__main__ import chosen
from bench.rpc.cases import CASES
from bench.rpc.driver import payload
from bench.rpc.driver.client import Turn
from bench.rpc.measure import Found, measure
from bench.rpc.roster import BASIC, OWN, PEERS, POOLED, RAW
from bench.rpc.running import Failed, Running
from bench.rpc.tables import report, target_table
from kato_transport.testing.waiting import until

ROOT = Path(__file__).parents[2]
ONE = next(case for case in CASES if case.name == "one")
RAW_SUBJECT = next(subject for subject in OWN if subject.name == RAW)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.rpc", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=170, check=False
    )


@pytest.mark.timeout(180)
def test_a_quick_run_gives_every_row_and_every_target(tmp_path) -> None:
    done = run("--quick", "--json", str(tmp_path / "rpc.json"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "rpc.json").read_text())
    assert not any(found["failures"].values())
    for case in CASES:
        figures = found["figures"][case.name]
        assert set(figures) == {subject.name for subject in OWN if subject.is_in(case.name)}
        assert f"### {case.title}" in done.stdout
        for name, each in figures.items():
            told_apart = found["how"][case.name][name] != "pipelined"
            expected = {"per_s", "cpu_us", "memory_mib", *(("p50_us", "p99_us") if told_apart else ())}
            assert set(each) == expected, (case.name, name)
            assert all(figure > 0 for rounds in each.values() for figure in rounds), (case.name, name)
    assert "not measured" not in done.stdout
    assert {"python", "pyzmq", "libzmq", "cores", "load", "load after", "commit"} <= set(found["environment"])


def test_a_selection_is_by_subject_or_case_or_both_and_always_has_the_yardstick() -> None:
    def names(*only: str) -> dict[str, list[str]]:
        return {case.name: [subject.name for subject in some] for case, some in chosen(only, OWN)}

    assert names("/10MB")["10MB"] == [subject.name for subject in OWN if subject.is_in("10MB")]
    assert set(names("basic/")) == {case.name for case in CASES}
    assert names("pooled/sleep", "basic/one") == {"one": [RAW, BASIC], "sleep": [RAW, POOLED]}
    assert names("nobody/") == {}


def test_a_selection_of_nothing_says_what_there_is() -> None:
    done = run("--only", "pooled/sleeping")
    assert done.returncode == 2
    assert "sleep" in done.stderr
    assert "improved, pooled" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_fails_loses_its_own_row_and_is_told() -> None:
    broken = evolve(RAW_SUBJECT, name="broken", variant="no such codec", client="NoSuchClass")
    found = measure([(ONE, [RAW_SUBJECT, broken])], count=2, seconds=0.01, last_after_s=60)
    assert list(found.figures["one"]) == [RAW]
    assert len(found.figures["one"][RAW]["p50_us"]) == 2
    assert "NoSuchClass" in found.failures["one"]["broken"]
    assert "broken: no figures, as it failed" in report(found)


def test_a_server_that_ends_says_its_last_words() -> None:
    gone = evolve(RAW_SUBJECT, module="bench.rpc.subjects.no_such_module")
    with closing(Running(gone)) as running, pytest.raises(Failed, match="no_such_module"):
        running.clients(1)


def test_an_answer_that_is_not_the_right_one_is_no_call() -> None:
    turn = Turn({"method": "echo", "size": payload.SMALL, "in_flight": 1}, threads=1)
    turn.check({"status": "okay", **payload.params(payload.SMALL), "list": (1, 2, 3)})
    with pytest.raises(AssertionError, match="number"):
        turn.check({**payload.params(payload.SMALL), "number": 0})


def test_servers_and_clients_end_with_whoever_started_them() -> None:
    """Closed, and also when that process is killed, which closes nothing but their standard input."""
    running = Running(RAW_SUBJECT)
    running.clients(2)
    pids = running.pids()
    assert len(pids) == 3
    running.close()
    assert not any(map(is_there, pids))
    script = (
        "import os, signal\nfrom bench.rpc.roster import OWN\nfrom bench.rpc.running import Running\n"
        "running = Running(OWN[0]); running.clients(1)\n"
        "print(*running.pids(), flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in killed.stdout.split()]
    assert len(pids) == 2
    until(lambda: not any(map(is_there, pids)), "server and client end")


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_targets_are_of_rounds_that_were_paired_and_say_when_they_were_not_measured() -> None:
    figures = {"one": {BASIC: {"p50_us": [11.0, 33.0]}, POOLED: {"p50_us": [20.0, 120.0]}}}
    beside = {"one": {BASIC: [10.0, 30.0], POOLED: [10.0, 60.0]}}
    lines = target_table(Found(figures=figures, beside=beside)).splitlines()
    assert "| basic, sync, p50 | ≤ 1.15 | 1.10 | met |" in lines
    assert "| improved, pooled handlers, sync, p50 | ≤ 1.6 | 2.00 | not met |" in lines
    assert "| improved, sync, p50 | ≤ 1.15 | - | not measured |" in lines


def test_a_peer_that_cannot_be_had_is_told_and_left_out(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert peers.python_with("nobody", ["no-such-peer==0"], "no_such_peer") is None
    assert "no-such-peer==0 cannot be had" in capsys.readouterr().err
    assert peers.program("no-such-program", "no-such-package") is None
    assert "no-such-program cannot be had" in capsys.readouterr().err


def test_every_peer_is_pinned_and_has_a_folder_that_git_ignores() -> None:
    for subject in PEERS:
        assert subject.peer is not None
        assert any("==" in requirement for requirement in subject.peer.requirements)
    ignored = subprocess.run(["git", "check-ignore", ".peers/nats"], cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode == 0 or not os.path.exists(ROOT / ".git")
