"""What a run of a bench ran on, as it is recorded beside its figures."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import zmq

ROOT: Final = Path(__file__).parents[1]


def environment(*packages: str, **more: Any) -> dict[str, Any]:
    """Of this process at this moment, with the versions of some packages and whatever else a bench knows."""
    return {
        "python": platform.python_version(),
        "pyzmq": zmq.__version__,
        "libzmq": zmq.zmq_version(),
        **{name: version(name) for name in packages},
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": load(),
        "commit": commit(),
        **more,
    }


def load() -> str:
    """Averages of 1, 5 and 15 minutes."""
    return " ".join(f"{average:.1f}" for average in os.getloadavg())


def commit() -> str:
    """Of the checkout, with a plus where something was changed since; `none` outside of one."""
    described = _git("describe", "--always", "--abbrev=10", "--exclude=*", "--dirty=+")
    return described or "none"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return ""
    return done.stdout.strip()
