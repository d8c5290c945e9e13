"""The bench of the gateway: that it measures what it says, and says what it lacks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.rest.stage import CALL, CASES, KATO, PER_CONNECTION, PER_REQUEST, RAW, REST
from bench.rest.tables import report
from bench.rest.turns import Figure

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.rest", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=55, env=environ or None)


def figure(subject: str, case: str, connections: int, per_s: list[float], timeouts: int = 0) -> Figure:
    return Figure(subject, case, connections, per_s, [1.0], [2.0], [3.0], timeouts)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk, Debian's package of that name")
def test_a_quick_run_measures_every_subject_of_this_project_without_an_error(tmp_path: Path) -> None:
    done = run("--quick", "--json", str(tmp_path / "figures.json"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "figures.json").read_text())["figures"]
    asked = {(one["subject"], one["case"]) for one in found}
    assert asked == {(REST, case.title) for case in CASES} | {(PER_REQUEST, KATO.title), (PER_CONNECTION, KATO.title)}
    assert all(one["per_s"][0] > 0 and one["cpu_us"][0] > 0 and not one["errors"] for one in found), found


def test_without_wrk_it_says_how_to_get_it() -> None:
    done = run("--quick", PATH="/nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert "apt-get install wrk" in done.stderr


def test_targets_are_judged_by_ratios_of_the_same_round() -> None:
    """The raw figure halves in the second round, and so does the gateway's."""
    found = [
        figure(RAW, KATO.title, 64, [1000, 500]),
        figure(REST, KATO.title, 64, [600, 300]),
        figure(PER_REQUEST, KATO.title, 64, [200, 100]),
        figure(RAW, CALL.title, 64, [1000, 500]),
        figure(REST, CALL.title, 64, [400, 200]),
        figure(REST, KATO.title, 512, [10], timeouts=2),
    ]
    rows = [line.split(" | ")[2:] for line in report(found).rpartition("### Targets")[2].splitlines()[4:]]
    assert rows == [["0.60", "met |"], ["0.40", "not met |"], ["3.00", "not met |"], ["2.00", "not met |"]]
