"""How long it takes until something can be done: whole processes, each beside a Python that does nothing.

    python -m bench.startup [--rounds 11] [--json FILE]

The subjects take turns, so that a noisy moment hits all of them. What counts is milliseconds by the wall clock of the process
as a whole, Python's own start included; beside it are what is left without that, of the same round, and its CPU time, which
other load on the machine changes less. The first call is one over a socket, to a server that is there.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import kato_transport as kt
from bench.environment import ROOT, environment, load
from bench.report import Target, as_line, table, targets, write_json
from bench.rounds import rounds

NOTHING: Final = "python -c pass"
IMPORT: Final = "import kato_transport"
FIRST_CALL: Final = "import kato_transport, and a first call"
HELP: Final = "kato-transport --help"
CALLING: Final = "import sys, kato_transport as kt\nwith kt.connect(sys.argv[1]) as client:\n    client.call('ping')"
PATIENCE_S: Final = 60.0
TARGETS: Final = ((Target(FIRST_CALL, "≤", 150, " ms"), FIRST_CALL), (Target(HELP, "≤", 200, " ms"), HELP))


class Took(NamedTuple):
    wall_ms: float
    cpu_ms: float


def commands(endpoint: str) -> dict[str, Sequence[str]]:
    return {
        NOTHING: ["-c", "pass"],
        IMPORT: ["-c", IMPORT],
        FIRST_CALL: ["-c", CALLING, endpoint],
        HELP: ["-m", "kato_transport", "--help"],
    }


def measure(count: int) -> dict[str, list[Took]]:
    """Of each process, by round; the first round, which fills caches of files, does not count."""
    found: dict[str, list[Took]] = {}
    with kt.serve({}, "tcp://127.0.0.1:0") as server:
        for number in rounds(count + 1):
            for name, arguments in commands(server.endpoint).items():
                took = _process(arguments)
                if number:
                    found.setdefault(name, []).append(took)
    return found


def _process(arguments: Sequence[str]) -> Took:
    began, spent = time.perf_counter(), _cpu_s()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=ROOT, timeout=PATIENCE_S)
    return Took(1e3 * (time.perf_counter() - began), 1e3 * (_cpu_s() - spent))


def _cpu_s() -> float:
    """Of all processes that were started here and ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(found: dict[str, list[Took]]) -> str:
    rows = []
    for name, each in found.items():
        wall = [one.wall_ms for one in each]
        beyond = [one.wall_ms - nothing.wall_ms for one, nothing in zip(each, found[NOTHING], strict=True)]
        cpu = statistics.median(one.cpu_ms for one in each)
        shown = [statistics.median(wall), min(wall), max(wall), statistics.median(beyond), cpu]
        rows.append([name, *(f"{ms:.0f}" for ms in shown)])
    measured = [(target, statistics.median(one.wall_ms for one in found[name])) for target, name in TARGETS]
    columns = ["process", "median, ms", "least", "most", "beyond Python itself", "CPU, ms"]
    return table(columns, rows) + "\n\n" + targets(measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    options = parser.parse_args()
    around = environment(rounds=options.rounds)
    found = measure(options.rounds)
    around["load after"] = load()
    print(as_line(around) + "\n")
    print(report(found))
    write_json(
        options.json, environment=around, figures={name: [took._asdict() for took in each] for name, each in found.items()}
    )


if __name__ == "__main__":
    main()
