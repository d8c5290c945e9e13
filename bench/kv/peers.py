"""NVIDIA Dynamo, which the index is measured beside."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.peers import python_with

DYNAMO: Final = "ai-dynamo-runtime==1.6.1"


def dynamo() -> Path | None:
    """A Python that has it; None where it cannot be had."""
    return python_with("dynamo", [DYNAMO], "dynamo._core")
