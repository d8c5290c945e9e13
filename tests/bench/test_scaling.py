"""Each curve's first point is measured, in seconds; what grows from there is for `make bench-scaling`."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from bench.environment import ROOT
from bench.scaling.__main__ import CURVES


@pytest.mark.parametrize("name", CURVES)
def test_the_first_point_of_each_curve_has_figures(name):
    """By a command of its own, as all points have. The first is what the curve is of, and more than nothing; others may be what
    two processes differ by, which at this point is little either way."""
    command = [sys.executable, "-m", f"bench.scaling.{name}", str(CURVES[name][0])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert next(iter(figures.values())) > 0
    assert all(map(math.isfinite, figures.values()))
