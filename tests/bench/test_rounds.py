"""What all benches stand on: rounds that end, ratios of one round, targets, and what processes cost."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.environment import environment
from bench.processes import cpu_seconds, forget_peak, peak_bytes
from bench.report import Target, table, targets, write_json
from bench.rounds import Ratio, quantile, rounds

MIB = 1024 * 1024
COMMANDS = """
import sys, time
for line in sys.stdin:
    eval(line)
    print(flush=True)
"""


def test_a_ratio_is_of_figures_of_the_same_round_and_not_of_medians() -> None:
    """A machine that is three times as slow in one round changes nothing."""
    assert Ratio.of([20, 60, 22], [10, 30, 11]) == Ratio(median=2.0, least=2.0, most=2.0)
    assert str(Ratio.of([1, 2, 9], [2, 2, 2])) == "1.00 (0.50 to 4.50)"


def test_there_is_no_ratio_to_what_was_not_measured() -> None:
    assert Ratio.of([1.0], []) is None
    assert Ratio.of([], [1.0]) is None


def test_figures_of_unequal_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Ratio.of([1.0, 2.0], [1.0])


def test_a_quantile_is_one_of_the_figures() -> None:
    hundred = list(range(100))
    assert (quantile(hundred, 0.5), quantile(hundred, 0.99), quantile([7], 0.99)) == (50, 99, 7)


def test_rounds_end_in_time_but_not_before_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(rounds(3)) == [0, 1, 2]
    assert list(rounds(3, last_after_s=-1)) == [0]
    assert "1 of 3 rounds" in capsys.readouterr().err


def test_a_target_is_met_at_its_limit_and_says_when_there_is_no_figure() -> None:
    latency, speed = Target("p50", "≤", 1.15), Target("requests/s", "≥", 8, "-fold")
    lines = targets([(latency, 1.15), (latency, 1.16), (speed, 8.5), (speed, None)]).splitlines()
    assert lines[2:] == [
        "| p50 | ≤ 1.15 | 1.15 | met |",
        "| p50 | ≤ 1.15 | 1.16 | not met |",
        "| requests/s | ≥ 8-fold | 8.50-fold | met |",
        "| requests/s | ≥ 8-fold | - | not measured |",
    ]


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_figures_are_written_where_a_path_was_given(tmp_path) -> None:
    write_json(None, figures={})
    write_json(str(tmp_path / "figures.json"), figures={"case": [1.0]})
    assert json.loads((tmp_path / "figures.json").read_text()) == {"figures": {"case": [1.0]}}


def test_an_environment_says_what_was_measured_on_what() -> None:
    found = environment("attrs", rounds=5)
    assert {"python", "pyzmq", "libzmq", "attrs", "cores", "load", "commit", "rounds"} <= set(found)


def test_what_a_process_costs_is_seen_from_outside() -> None:
    with subprocess.Popen([sys.executable, "-c", COMMANDS], stdin=-1, stdout=-1, text=True) as process:

        def do(command: str) -> None:
            process.stdin.write(command + "\n")
            process.stdin.flush()
            process.stdout.readline()

        do("0")
        before = cpu_seconds(process.pid)
        do("sum(range(2_000_000))")
        spent = cpu_seconds(process.pid) - before
        do(f"len(bytearray({64 * MIB}))")
        most = peak_bytes(process.pid)
        forget_peak(process.pid)
        now = peak_bytes(process.pid)
        process.stdin.close()
    assert 0.005 < spent < 5
    assert most - now > 50 * MIB
