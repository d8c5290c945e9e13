"""Counting instructions: all cases in one process under valgrind's callgrind, which neither load nor frequency moves.

A counted process says where a case begins and ends by calling the C library's `getppid`, before which callgrind writes down
what it has counted since the last time.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.environment import ROOT
from bench.regression.cases import CASES, REFERENCES, TIMES, Work

VALGRIND: Final = shutil.which("valgrind")
LONGEST_S: Final = 240
_DUMP: Final = re.compile(r"\.(\d+)$")
_TOTAL: Final = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


def instructions() -> dict[str, float]:
    """Those of each case and reference, once done; `OSError` or `SubprocessError` where they cannot be counted."""
    assert VALGRIND is not None
    with TemporaryDirectory() as folder:
        callgrind = ["--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={folder}/out"]
        command = [VALGRIND, *callgrind, sys.executable, "-m", "bench.regression.counting"]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=LONGEST_S)
        dumps = {int(found[1]): path for path in Path(folder).iterdir() if (found := _DUMP.search(path.name))}
        counted = [_total(dumps[number]) for number in sorted(dumps)]
    return {name: count / TIMES for name, count in zip(_prepared(), counted[1::2], strict=True)}


def _total(dump: Path) -> int:
    found = _TOTAL.search(dump.read_text())
    assert found is not None, f"callgrind wrote no total in {dump.name}"
    return int(found[1])


def _prepared() -> dict[str, Callable[[], AbstractContextManager[Work]]]:
    return {**REFERENCES, **{name: case.prepared for name, case in CASES.items()}}


def _count() -> None:
    """Do all of it: each piece `TIMES` times beforehand, as Python makes code faster that it has seen, and as often counted."""
    for prepared in _prepared().values():
        with prepared() as work:
            for number in range(TIMES):
                work(number)
            gc.collect()
            os.getppid()
            for number in range(TIMES, 2 * TIMES):
                work(number)
            os.getppid()


if __name__ == "__main__":
    _count()
