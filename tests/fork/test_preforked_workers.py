"""Workers forked from a parent that has everything open already, as web servers fork theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("preforked.py")


@pytest.mark.parametrize("transport", ["improved", "basic"])
def test_a_parent_goes_on_serving_while_its_workers_call_and_exit(transport: str) -> None:
    """Generation after generation; a worker that leaves closes the parent's client and server for itself only."""
    command = [sys.executable, str(PROGRAM), transport]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    generations = json.loads(done.stdout)
    assert [statuses for statuses, _ in generations] == [[0, 0, 0]] * 3
    assert all(calls > 0 for _, calls in generations)
