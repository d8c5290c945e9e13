"""Draws the curves: `python plot.py FOLDER`, with the figures on standard input. Knows of matplotlib and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

Panel = tuple[str, dict[str, str]]

PANELS: dict[str, list[Panel]] = {
    "clients": [("server's CPU per call, µs", {"inline": "inline, CPU per call", "pooled": "pooled, CPU per call"})],
    "sources": [
        ("CPU per batch of 32 blocks, µs", {"": "CPU per batch"}),
        ("CPU to begin with a source, µs", {"": "CPU per source, to begin"}),
        ("memory per source, KiB", {"": "memory per source"}),
    ],
    "blocks": [
        ("CPU per block, ns", {"store by 32": "store, CPU per block", "remove by 32": "remove, CPU per block"}),
        ("CPU per match of 128 blocks, µs", {"": "match of 128, CPU"}),
        ("memory per block, bytes", {"": "memory per block"}),
    ],
    "processors": [
        ("calls/s, 5 ms of computing each", {name: f"{name}, per second" for name in ("one process", "a process each")}),
        ("CPU per call, ms", {name: f"{name}, CPU ms per call" for name in ("one process", "a process each")}),
    ],
}
LINEAR = ("processors",)


def draw(name: str, points: dict[str, dict[str, float]], path: Path) -> None:
    panels = PANELS[name]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.4 * len(panels), 2.7), squeeze=False)
    across = [int(point) for point in points]
    for axis, (title, lines) in zip(axes[0], panels, strict=True):
        for label, key in lines.items():
            axis.plot(across, [figures[key] for figures in points.values()], marker="o", markersize=3, label=label)
        axis.set_ylim(bottom=0)
        axis.set_xscale("linear" if name in LINEAR else "log")
        axis.set_xticks(across, map(short, across))
        axis.minorticks_off()
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(name, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        if len(lines) > 1:
            axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def short(number: int) -> str:
    """As it stands below an axis."""
    for unit, word in ((1_000_000, " M"), (1_000, " K")):
        if number >= unit:
            return f"{number // unit}{word}"
    return str(number)


def main() -> None:
    known: dict[str, Any] = json.load(sys.stdin)
    for name, curve in known.items():
        draw(name, curve["points"], Path(sys.argv[1]) / f"scaling-{name}.png")


if __name__ == "__main__":
    main()
