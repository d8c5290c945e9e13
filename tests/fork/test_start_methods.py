"""Every way in which `multiprocessing` starts a process, from amidst the calls of a parent's threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("transport", ["improved", "basic"])
def test_parent_and_children_call_through_a_client_that_was_there_before(transport: str, start_method: str) -> None:
    """All of them get their own answers, none of them hangs, and the parent's threads never notice."""
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])  # a fork server looks nowhere else
    command = [sys.executable, str(HERE / "children.py"), transport, start_method]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"children": [0] * 4, "went_on": [True] * 4}, done.stderr
    assert done.stderr == ""
