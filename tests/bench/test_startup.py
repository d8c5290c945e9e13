"""The bench of start-up: a row for every process, and both targets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench import startup

ROOT = Path(__file__).parents[2]


def test_a_run_gives_every_row_and_every_target(tmp_path) -> None:
    command = [sys.executable, "-m", "bench.startup", "--rounds", "1", "--json", str(tmp_path / "startup.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "startup.json").read_text())["figures"]
    assert set(found) == set(startup.commands("tcp://127.0.0.1:1"))
    assert all(took["cpu_ms"] > 0 for each in found.values() for took in each)
    assert all(f"| {target.title} | ≤ {target.limit:g} ms |" in done.stdout for target, _ in startup.TARGETS)
