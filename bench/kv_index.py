"""The block index side by side with NVIDIA Dynamo's: its RadixTree, and `python -m dynamo.indexer` over real sockets.

    python -m bench.kv_index [--blocks 1000000] [--pods 64] [--rounds 5] [--minutes 30] [--json FILE]

Chains of 32 to 512 blocks of 16 tokens, of 64 pods. Each figure comes from a process of its own, kept to one core; the two
sides take turns, so that a noisy moment hits both, and the ratios are paired. RadixTree works on a thread of its own for
which every call waits, so one core is its best.

What each side is given: RadixTree JSON, which is what it takes, with the hashes of the blocks' tokens made before; the
index events from the decoder, their tokens read just before into lists, of which it makes the keys itself (`tokens packed`:
still as they lie on the wire). A prepared request is a list of tokens' hashes to RadixTree, and a `Request` that was asked
once before to the index; `from tokens` begins with a list of token ids at both. Throughput is by CPU time, of all threads;
a p50 is by the wall clock, and beside it stands the CPU time of the mean call. Python's garbage collector runs as always.

Dynamo gets an environment of its own in `.peers/`, made when it is missing; where it cannot be had, this says so and shows
the index alone. No round is begun after `--minutes`. Absolute figures of a shared machine mean little; the ratios are the
result.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.environment import ROOT, environment, load
from bench.kv import peers
from bench.kv.measure import ASKED
from bench.report import as_line, table, write_json
from bench.rounds import Ratio, rounds

INDEX, PACKED, HASHES, RADIX, DYNAMO = "index", "index, tokens packed", "index, hashes only", "RadixTree", "dynamo.indexer"
RUN_S: Final = 900.0
"""What one process may take."""
PIPELINE_PART, PIPELINE_LEAST = 2, 100_000
"""Of the blocks, that go through sockets, twice; and how many at least, as CPU time of less says little."""


class Row(NamedTuple):
    """A line of the table: a figure of ours beside one of theirs."""

    title: str
    unit: str
    figure: str
    subject: str = INDEX
    target: str = ""
    peer: str = RADIX
    peer_figure: str = ""


def rows() -> list[Row]:
    return [
        Row("store by 32 blocks", "M/s", "store by 32", target="≥ 1.0"),
        Row("store by 32 blocks, tokens packed", "M/s", "store by 32", PACKED),
        Row("store by 32 blocks, hashes only", "M/s", "store by 32", HASHES),
        Row("store by 1", "M/s", "store by 1", target="≥ 2"),
        Row("store by 1, tokens packed", "M/s", "store by 1", PACKED),
        Row("store by 1, hashes only", "M/s", "store by 1", HASHES),
        Row("remove by 32, leaf first", "M/s", "remove by 32", target="≥ 0.7"),
        Row("remove by 1, leaf first", "M/s", "remove by 1", target="≥ 4"),
        Row("store by 32, 16 holders", "M/s", "store by 32, 16 holders", target="≥ 3"),
        Row("remove by 32, 16 holders", "M/s", "remove by 32, 16 holders", target="≥ 3"),
        *_match_rows("1 holder", "≤ 0.5"),
        *_match_rows("16 holders", "≤ 0.7"),
        Row("bytes per block, 1 holder", "B", "bytes per block, 1 holder", target="≤ 1.4"),
        Row("bytes per block, 1 holder, hashes only", "B", "bytes per block, 1 holder", HASHES),
        Row("bytes per block, 16 holders", "B", "bytes per block, 16 holders", target="≤ 0.2"),
        Row("bytes per block, 16 with hashes of their own", "B", "bytes per block, 16 with hashes of their own"),
        Row("forget a source, CPU", "ms", "forget a source", target="≤ 0.3 ms"),
        Row("forget a source, swept later, CPU", "ms", "forget a source, swept later", peer=""),
        *_pipeline_rows(),
    ]


def _match_rows(holders: str, target: str) -> list[Row]:
    names = [(f"match {blocks}, {holders}", blocks) for blocks in ASKED]
    return [
        *(Row(f"{name}, p50", "µs", name, target=target) for name, _ in names),
        *(Row(f"{name}, CPU", "µs", f"{name}, CPU") for name, _ in names),
        *(Row(f"{name}, hashes only, p50", "µs", name, HASHES) for name, _ in names),
        *(Row(f"{name}, answer read, p50", "µs", f"{name}, answer read") for name, _ in names),
        *(Row(f"{name}, from tokens, p50", "µs", f"{name}, from tokens") for name, _ in names),
    ]


def _pipeline_rows() -> list[Row]:
    tokens, known = "publisher to index", "publisher to index, known from another pod"
    return [
        Row(f"{tokens}, tokens hashed", "M/s", tokens, INDEX, "≥ 0.75", DYNAMO),
        Row(known, "M/s", known, INDEX, "≥ 1.2", DYNAMO),
        Row(f"{tokens}, hashes only", "M/s", tokens, HASHES, "≥ 1.2", DYNAMO),
        Row(f"{known}, hashes only", "M/s", known, HASHES, "", DYNAMO),
    ]


Run = tuple[str, str]
"""Of a subject in a scenario."""
RUNS: Final[Sequence[Run]] = [
    *((subject, "prefill") for subject in (INDEX, RADIX, PACKED, HASHES)),
    *((subject, "decoding") for subject in (INDEX, RADIX, PACKED, HASHES)),
    *((subject, "shared") for subject in (INDEX, RADIX, HASHES)),
    *((subject, "own") for subject in (INDEX, RADIX)),
    *((subject, "pipeline") for subject in (INDEX, DYNAMO, HASHES)),
]
Figures = dict[str, dict[str, list[float]]]
"""By subject and name, one of each round."""


def measure(options: argparse.Namespace, dynamo: Path | None) -> Figures:
    figures: Figures = {}
    for _ in rounds(options.rounds, 60 * options.minutes):
        for subject, scenario in RUNS:
            python = dynamo if subject in (RADIX, DYNAMO) else Path(sys.executable)
            if python is not None:
                for name, figure in _run(subject, scenario, python, options).items():
                    figures.setdefault(subject, {}).setdefault(name, []).append(figure)
    return figures


def _run(subject: str, scenario: str, python: Path, options: argparse.Namespace) -> dict[str, float]:
    core = max(os.sched_getaffinity(0))
    if scenario == "pipeline":
        blocks = max(PIPELINE_LEAST, options.blocks // PIPELINE_PART)
        module = [sys.executable, "-m", "bench.kv.pipeline", subject, python, core, blocks]
    else:
        sizes = ["--blocks", options.blocks, "--pods", options.pods, "--core", core]
        module = [python, "-m", "bench.kv.measure", subject, scenario, *sizes]
    command = [str(word) for word in module]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=RUN_S, cwd=ROOT)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


# --- the table ----------------------------------------------------------------------------------------------------------


def report(figures: Figures) -> None:
    lines = []
    for row in rows():
        mine = figures[row.subject][row.figure]
        theirs = figures.get(row.peer, {}).get(row.peer_figure or row.figure, [])
        ratio = str(Ratio.of(mine, theirs) or "-")
        lines.append([row.title, row.unit, _shown(mine, row.unit), _shown(theirs, row.unit), ratio, row.target])
    print("\n" + table(["case", "unit", "index", "Dynamo", "ratio", "target"], lines))


def _shown(each: Sequence[float], unit: str) -> str:
    if not each:
        return "-"
    median = statistics.median(each) / (1e6 if unit == "M/s" else 1)
    return f"{median:,.0f}" if unit == "B" else f"{median:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=_whole(16_384), default=1_000_000, help="200000 for a quick look")
    parser.add_argument("--pods", type=_whole(8), default=64)
    parser.add_argument("--rounds", type=_whole(1), default=5)
    parser.add_argument("--minutes", type=float, default=30.0, help="after which no other round is begun")
    parser.add_argument("--json", help="write every figure to this file")
    options = parser.parse_args()
    dynamo = peers.dynamo()
    sizes = {"blocks": options.blocks, "pods": options.pods}
    around = environment("msgspec", "xxhash", peer=peers.DYNAMO if dynamo else "none", **sizes)
    figures = measure(options, dynamo)
    around["load after"] = load()
    print(as_line(around))
    report(figures)
    write_json(options.json, environment=around, figures=figures)


def _whole(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if (number := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{number}; expected at least {least}")
        return number

    return whole


if __name__ == "__main__":
    main()
