"""How cost grows: with clients, sources of events, blocks in the index, and processors.

    python -m bench.scaling [--only CURVE] [--rounds 3] [--minutes 4] [--json FILE] [--plots FOLDER]

Each point is measured in processes of its own, all points of a curve in turns, and its figures are the medians of the rounds.
Cost is CPU time as the kernel counts it, and memory; only of processors it is told what they get done, too. No round begins
after its share of the minutes. Plots are drawn by matplotlib, in an environment of its own that is made when it is missing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.environment import ROOT, environment
from bench.peers import python_with
from bench.report import as_line, table
from bench.rounds import rounds

CURVES: Final[Mapping[str, Sequence[int]]] = {
    "clients": (1, 2, 4, 8, 16, 32, 64),
    "sources": (1, 5, 20, 100, 250, 500),
    "blocks": (10_000, 100_000, 400_000, 1_000_000, 2_000_000, 4_000_000),
    "processors": (1, 2, 3, 4),
}
POINT_S: Final = 180
MATPLOTLIB: Final = "matplotlib>=3.9"

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=CURVES, action="append", help="may be given several times; by default all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=4.0, help="after which no round begins, of all curves together")
    parser.add_argument("--json", type=Path, help="file for the figures; those of other curves in it are kept")
    parser.add_argument("--plots", type=Path, help="folder to draw them into")
    arguments = parser.parse_args()
    wanted = arguments.only or list(CURVES)
    known = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {}
    for name in wanted:
        ran_on = environment()
        points = measured(name, arguments.rounds, arguments.minutes * 60 / len(wanted))
        known[name] = {"environment": ran_on, "points": points}
        print(f"\n{as_line(ran_on)}\n\n{_table(name, points)}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(known, indent=1) + "\n")
    if arguments.plots:
        draw(known, arguments.plots)


def measured(name: str, count: int, last_after_s: float) -> dict[int, Figures]:
    """Medians of each point's figures."""
    taken: dict[int, list[Figures]] = {point: [] for point in CURVES[name]}
    for _ in rounds(count, last_after_s):
        for point, figures in taken.items():
            figures.append(_point(name, point))
    return {
        point: {title: statistics.median(each[title] for each in figures) for title in figures[0]}
        for point, figures in taken.items()
    }


def _point(name: str, point: int) -> Figures:
    command = [sys.executable, "-m", f"bench.scaling.{name}", str(point)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=POINT_S)
    found: Figures = json.loads(done.stdout)
    return found


def _table(name: str, points: Mapping[int, Figures]) -> str:
    titles = list(next(iter(points.values())))
    rows = [[f"{point:,}", *(f"{figures[title]:,.1f}" for title in titles)] for point, figures in points.items()]
    return table([name, *titles], rows)


def draw(known: Mapping[str, Any], folder: Path) -> None:
    python = python_with("plots", [MATPLOTLIB], "matplotlib")
    if python is not None:
        folder.mkdir(parents=True, exist_ok=True)
        command = [str(python), str(Path(__file__).with_name("plot.py")), str(folder)]
        subprocess.run(command, check=True, input=json.dumps(known), text=True)


if __name__ == "__main__":
    main()
