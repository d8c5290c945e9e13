"""What a bench leaves: tables in Markdown, which targets were met, and every figure as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from attrs import frozen


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def as_line(environment: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in environment.items())


def write_json(path: str | None, **everything: Any) -> None:
    """Nothing without a path."""
    if path:
        Path(path).write_text(json.dumps(everything, indent=1) + "\n")


@frozen
class Target:
    """A line that a figure must not cross."""

    title: str
    sign: Literal["≤", "≥"]
    limit: float
    unit: str = ""

    def is_met(self, measured: float) -> bool:
        return measured <= self.limit if self.sign == "≤" else measured >= self.limit

    def row(self, measured: float | None) -> list[str]:
        """Title, target, measured, and whether it is met; a target without a figure says that it has none."""
        asked = f"{self.sign} {self.limit:g}{self.unit}"
        if measured is None:
            return [self.title, asked, "-", "not measured"]
        return [self.title, asked, f"{measured:.2f}{self.unit}", "met" if self.is_met(measured) else "not met"]


def targets(rows: Iterable[tuple[Target, float | None]]) -> str:
    """The table of them."""
    return table(["target", "asked", "measured", ""], [target.row(measured) for target, measured in rows])
