"""Environments of peers, each by itself in a folder that git ignores; made when they are first needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.environment import ROOT

FOLDER: Final = ROOT / ".peers"
INSTALL_S: Final = 300


def python_with(name: str, requirements: Sequence[str], module: str) -> Path | None:
    """A Python of its own that can import a peer's module; None where it cannot be had, and then it is said why."""
    python = FOLDER / name / "bin" / "python"
    if _imports(python, module):
        return python
    try:
        _run([sys.executable, "-m", "venv", str(FOLDER / name)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
        _run([str(python), "-c", f"import {module}"])
    except (OSError, subprocess.SubprocessError) as exc:
        print(f"{' '.join(requirements)} cannot be had, so there is nothing to compare with: {_why(exc)}", file=sys.stderr)
        return None
    return python


def program(name: str, package: str) -> Path | None:
    """A program of Debian's: where it is installed, else out of its package, which is unpacked here and not installed."""
    folder = FOLDER / package
    if found := shutil.which(name, path=f"{folder / 'usr/sbin'}:{folder / 'usr/bin'}") or shutil.which(name):
        return Path(found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "download", package], folder)
        _run(["dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(folder)])
    except (OSError, subprocess.SubprocessError, StopIteration) as exc:
        print(f"{name} cannot be had, so there is nothing to compare with: {_why(exc)}", file=sys.stderr)
        return None
    return next((folder / part / name for part in ("usr/sbin", "usr/bin") if (folder / part / name).exists()), None)


def _imports(python: Path, module: str) -> bool:
    command = [str(python), "-c", f"import {module}"]
    return python.exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_S, cwd=folder)


def _why(exc: Exception) -> str:
    return exc.stderr.decode(errors="replace").strip() if isinstance(exc, subprocess.CalledProcessError) else str(exc)
