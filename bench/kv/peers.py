"""Environments of peers, each by itself in a folder that git ignores; made when they are first needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DYNAMO: Final = "ai-dynamo-runtime==1.6.1"
INSTALL_S: Final = 300


def dynamo() -> Path | None:
    """A Python that has NVIDIA Dynamo; None where it cannot be had, and then it is said why."""
    folder = ROOT / ".peers" / "dynamo"
    python = folder / "bin" / "python"
    if _runs(python):
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=INSTALL_S)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", DYNAMO]
        subprocess.run(install, check=True, capture_output=True, timeout=INSTALL_S)
    except (OSError, subprocess.SubprocessError) as exc:
        why = exc.stderr.decode(errors="replace").strip() if isinstance(exc, subprocess.CalledProcessError) else str(exc)
        print(f"{DYNAMO} cannot be installed, so there is nothing to compare with: {why}", file=sys.stderr)
        return None
    return python if _runs(python) else None


def _runs(python: Path) -> bool:
    command = [str(python), "-c", "import dynamo._core"]
    return python.exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0
