"""The check on instruction counts, but for the counting: that takes valgrind, and as long as `make bench-regression`."""

from __future__ import annotations

import json

import pytest

from bench.regression.__main__ import BASELINE, BETTER, MARGIN, TOO_MUCH, verdict
from bench.regression.cases import CASES, REFERENCES


@pytest.mark.parametrize("prepared", [*(case.prepared for case in CASES.values()), *REFERENCES.values()])
def test_every_piece_of_work_can_be_done_again_and_again(prepared):
    """As often as it is told which time it is."""
    with prepared() as work:
        for number in range(3):
            work(number)


def test_the_baseline_has_every_case_and_no_other():
    """One that is not recorded is not checked."""
    assert json.loads(BASELINE.read_text())["ratios"].keys() == CASES.keys()


def test_a_ratio_may_exceed_its_baseline_by_the_margin():
    """And no more; one far below is to be recorded."""
    assert verdict(2.0, 2.0) == "+0.0%"
    assert TOO_MUCH not in verdict(2.0 * (1 + MARGIN) - 0.001, 2.0)
    assert TOO_MUCH in verdict(2.0 * (1 + MARGIN) + 0.001, 2.0)
    assert BETTER in verdict(1.0, 2.0)
    assert "--record" in verdict(2.0, None)
