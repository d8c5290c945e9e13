"""What a well-behaved client notices of others that are not: its latency beside them, as ratios to its latency alone.

    python -m bench.pressure [--rounds 5] [--seconds 0.5] [--equals] [--json FILE]

Server, client and offenders are a process each. Before each measurement beside an offender comes one alone, so that a noisy
moment hits both; figures are medians of rounds. No round is begun after two minutes.

Offenders have the lowest priority (`SCHED_IDLE`), so that they take no core from the server and the client: what is measured
is what the server lets them do, as if they were on machines of their own. With `--equals` they compete for the cores, too.
The control keeps every core busy and has nothing to do with the server: what is lost beside it is the machine's.

How long the server takes to be rid of an offender that has left, and the longest that a call took meanwhile, is told, too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final

import kato_transport as kt
from bench.environment import environment, load
from bench.offenders import MIB, Offence, Steps, beside, declares, flood, garbage, idle, sends, slow_reader, too_large
from bench.report import as_line, table, write_json
from bench.rounds import Ratio, quantile, rounds
from bench.rpc.subjects.ours import echo, echo_inline

PARAMS = {"text": "x" * 150, "number": 12345, "list": [1, 2, 3]}
METHODS = {"echo": "inline", "pooled": "pooled"}
PROMISE: Final = 2.0
"""What p99 may grow to beside an offender."""
TIMEOUT_S: Final = 20.0
LAST_ROUND_S: Final = 120.0
"""After which no other round is begun."""
UNDER_WAY_S: Final = 0.3
"""What an offence is given to become what it is."""
RID_OF_S: Final = 5.0
IDLE_PROCESSES, IDLE_EACH = 4, 2_500

Figures = dict[str, Any]


def spin(endpoint: str) -> Steps:
    """Keeps a core busy."""
    while True:
        yield


OFFENCES: Mapping[str, tuple[Offence, int]] = {
    "busy cores (control)": (spin, os.cpu_count() or 1),
    "a slow reader": (slow_reader, 1),
    "a flood": (flood, 1),
    "garbage": (garbage, 1),
    "1 GB declared": (declares(1024 * MIB), 1),
    "200 MB sent": (sends(200 * MIB), 1),
    "100 MB sent": (too_large(100 * MIB), 1),
    f"{IDLE_PROCESSES * IDLE_EACH:,} idle connections": (idle(IDLE_EACH), IDLE_PROCESSES),
}
"""By name: what one process does, and how many do it."""


# --- processes ----------------------------------------------------------------------------------------------------------


def raise_limit() -> None:
    """As many descriptors as this process may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve(pipe: Connection) -> None:
    raise_limit()
    methods: dict[str, Callable[..., dict[str, Any]]] = {
        "echo": echo_inline,
        "pooled": echo,
        "look": lambda: {**server.stats(), "descriptors": len(os.listdir("/dev/fd"))},
    }
    with kt.serve(methods, "tcp://127.0.0.1:0", transport="improved") as server:
        pipe.send(server.endpoint)
        pipe.recv()


def offend(name: str, endpoint: str, equal: bool, pipe: Connection) -> None:
    raise_limit()
    if not equal:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while pipe.recv() == "on":
        with beside(OFFENCES[name][0], endpoint):
            pipe.send("going on")
            pipe.recv()
        pipe.send("over")


@contextmanager
def process(target: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    ours, theirs = multiprocessing.Pipe()
    started = multiprocessing.get_context("spawn").Process(target=target, args=(*arguments, theirs))
    started.start()
    try:
        yield ours
        ours.send("end")
        started.join()
    finally:
        started.kill()


@contextmanager
def going_on(pipes: list[Connection]) -> Iterator[None]:
    """All the processes of one offence, at it."""
    for command in ("on", "off"):
        for pipe in pipes:
            pipe.send(command)
        for pipe in pipes:
            pipe.recv()
        if command == "on":
            yield


# --- measuring ----------------------------------------------------------------------------------------------------------


def latencies(client: kt.Client, seconds: float) -> dict[str, Figures]:
    """Of each kind of handler, in microseconds."""
    return {kind: _latency(client, method, seconds) for method, kind in METHODS.items()}


def _latency(client: kt.Client, method: str, seconds: float) -> Figures:
    took, failed = [], 0
    until = time.perf_counter() + seconds
    while (started := time.perf_counter()) < until:
        try:
            client.call(method, PARAMS)
        except kt.TransportError:
            failed += 1
        took.append((time.perf_counter() - started) * 1e6)
    took.sort()
    return {"calls": len(took), "failed": failed, "p50": statistics.median(took), "p99": quantile(took, 0.99)}


def measure(count: int, seconds: float, equals: bool = False) -> dict[str, list[Figures]]:
    """Offence to what was found in each round: latencies alone and beside it, and how the server's counters changed."""
    found: dict[str, list[Figures]] = {name: [] for name in OFFENCES}
    with ExitStack() as running:
        endpoint: str = running.enter_context(process(serve)).recv()
        offenders = {
            name: [running.enter_context(process(offend, name, endpoint, equals)) for _ in range(count)]
            for name, (_, count) in OFFENCES.items()
        }
        client = running.enter_context(kt.connect(endpoint, transport="improved", timeout_s=TIMEOUT_S))
        latencies(client, seconds)  # warms up
        for _ in rounds(count, LAST_ROUND_S):
            for name, pipes in offenders.items():
                found[name].append(_round(client, pipes, seconds))
    return found


def _round(client: kt.Client, pipes: list[Connection], seconds: float) -> Figures:
    alone, before = latencies(client, seconds), client.call("look")
    with going_on(pipes):
        time.sleep(UNDER_WAY_S)
        next_to_it, after = latencies(client, seconds), client.call("look")
    changes = {key: after[key] - before[key] for key in ("requests", "malformed", "refused", "dropped", "descriptors")}
    return {"alone": alone, "beside": next_to_it, "server": changes, "after": _rid_of_it(client, before["descriptors"])}


def _rid_of_it(client: kt.Client, descriptors: int) -> Figures:
    """Waits until the connections of an offender that has left are gone; for a while, as the client's own may differ."""
    started, longest = time.perf_counter(), 0.0
    while (asked := time.perf_counter()) < started + RID_OF_S:
        open_now = client.call("look")["descriptors"]
        longest = max(longest, time.perf_counter() - asked)
        if open_now <= descriptors:
            break
    return {"took_ms": (time.perf_counter() - started) * 1e3, "longest_call_ms": longest * 1e3}


# --- the report ---------------------------------------------------------------------------------------------------------


def ratio(each: list[Figures], kind: str, figure: str) -> float:
    """The median of rounds."""
    beside, alone = ([one[when][kind][figure] for one in each] for when in ("beside", "alone"))
    found = Ratio.of(beside, alone)
    assert found is not None
    return found.median


def report(found: dict[str, list[Figures]]) -> None:
    for kind in METHODS.values():
        columns = ["beside", "p50 alone", "p50", "ratio", "p99 alone", "p99", "ratio", "failed", "kept"]
        print(f"\n### {kind} handler, µs\n")
        print(table(columns, [[name, *_cells(each, kind)] for name, each in found.items()]))
    print(f"\n### the server's counters\n\n*Kept*: p99 within {PROMISE:g} times. What the offence was, in one measurement:\n")
    counters = [("server", key) for key in next(iter(found.values()))[0]["server"]]
    afterwards = [("after", "took_ms"), ("after", "longest_call_ms")]
    lines = []
    for name, each in found.items():
        cells = [statistics.median(one[group][key] for one in each) for group, key in counters + afterwards]
        lines.append([name, *(f"{cell:,.0f}" for cell in cells)])
    print(table(["beside", *(key for _, key in counters), "gone after, ms", "longest call meanwhile, ms"], lines))


def _cells(each: list[Figures], kind: str) -> list[str]:
    cells = []
    for figure in ("p50", "p99"):
        both = [statistics.median(one[when][kind][figure] for one in each) for when in ("alone", "beside")]
        cells += [*(f"{us:,.0f}" for us in both), f"{ratio(each, kind, figure):.2f}"]
    failed = sum(one["beside"][kind]["failed"] for one in each)
    return [*cells, f"{failed}", "yes" if ratio(each, kind, "p99") <= PROMISE else "no"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="per offence, kind of handler and round, alone and beside")
    parser.add_argument("--equals", action="store_true", help="offenders have the same priority as everybody")
    parser.add_argument("--json", help="write every figure to this file")
    options = parser.parse_args()
    around = environment(offenders="equals" if options.equals else "idle")
    found = measure(options.rounds, options.seconds, options.equals)
    around["load after"] = load()
    print(as_line(around))
    report(found)
    write_json(options.json, environment=around, rounds=found)


if __name__ == "__main__":
    main()
