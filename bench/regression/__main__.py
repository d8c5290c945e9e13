"""Whether the codec, the call path or the index have become more expensive since it was last written down.

    python -m bench.regression [--record]

Instructions are counted, so neither load nor the machine's speed matter. Each case is told as a multiple of a reference that
is counted in the same process, and compared with the multiple in `baseline.json`: too far above it makes the status 1. Who
makes something slower on purpose, or faster, records a new baseline with `--record`. Without valgrind, or under a Python that
the baseline is not of, nothing can be compared: that is said, and the status is 0.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.regression.cases import CASES
from bench.regression.counting import VALGRIND, instructions
from bench.report import table

BASELINE: Final = Path(__file__).with_name("baseline.json")
MARGIN: Final = 0.15
"""By which a ratio may exceed its baseline. Counts repeat within a thousandth; it is for other builds of Python and for other
versions of what is depended on."""
TOO_MUCH, BETTER = " TOO MUCH", " (--record keeps it so)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="write the ratios down as the new baseline")
    arguments = parser.parse_args()
    if VALGRIND is None:
        return _skipped("valgrind is not installed (Debian: apt-get install valgrind)")
    python = ".".join(platform.python_version_tuple()[:2])
    baseline = json.loads(BASELINE.read_text())
    if baseline["python"] != python and not arguments.record:
        return _skipped(f"the baseline is of Python {baseline['python']}, and this is {python}")
    try:
        counted = instructions()
    except (OSError, subprocess.SubprocessError) as exc:
        print(f"could not count: {exc}", file=sys.stderr)
        return 1
    ratios = {name: round(counted[name] / counted[case.reference], 3) for name, case in CASES.items()}
    if arguments.record:
        BASELINE.write_text(json.dumps({"python": python, "ratios": ratios}, indent=1) + "\n")
        baseline["ratios"] = ratios
    verdicts = {name: verdict(ratio, baseline["ratios"].get(name)) for name, ratio in ratios.items()}
    rows = [
        [name, f"{counted[name]:,.0f}", f"{ratios[name]:.2f} x {case.reference}", verdicts[name]]
        for name, case in CASES.items()
    ]
    print(table(["case", "instructions", "ratio", "to the baseline"], rows))
    return int(any(TOO_MUCH in said for said in verdicts.values()))


def _skipped(why: str) -> int:
    print(f"skipped: {why}")
    return 0


def verdict(ratio: float, before: float | None) -> str:
    """How a ratio compares with the one in the baseline."""
    if before is None:
        return "none yet: --record"
    change = ratio / before - 1
    return f"{change:+.1%}" + (TOO_MUCH if change > MARGIN else BETTER if change < -MARGIN else "")


if __name__ == "__main__":
    sys.exit(main())
