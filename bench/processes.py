"""What processes cost, as the kernel counts it: of any of one's own, all threads, those that ended, too."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

_SCHED: Final = 2
"""In the number of a process's clock, as `clock_getcpuclockid(3)` makes it: counted by the scheduler, in nanoseconds."""
_PEAK: Final = "5"


def cpu_seconds(pid: int) -> float:
    return time.clock_gettime((~pid << 3) | _SCHED)


def forget_peak(pid: int) -> None:
    """From here on, `peak_bytes` is that of what comes now."""
    Path(f"/proc/{pid}/clear_refs").write_text(_PEAK)


def peak_bytes(pid: int) -> int:
    """The most memory that was resident at once."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
