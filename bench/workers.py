"""What `serve --workers 2` makes of handlers that compute: answers per second against one process, in turns in one run.

    python -m bench.workers [--rounds 5] [--seconds 1.0] [--json FILE]

Two processors, each asked by two clients' threads without pause, so that the next call always waits. Their handler computes in
Python, which runs one thread at a time, for about so long; or sleeps, which leaves Python to others. Figures of one round make
a ratio; the median of the rounds is the result. Both servers have two processors, the REST gateway is off, and the calls are
those of `kato-transport serve`'s clients: with reply cache, turns, limits and heartbeats on.

CPU per call is what the kernel counted, of all the server's processes: what one call costs more in two processes is the trip
from the process in front. The ratio that is asked for needs two idle cores; how much of them there was is told by the control,
bare processes that only compute, two against one, in every round.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from attrs import frozen

import kato_transport as kt
from bench.environment import ROOT, environment
from bench.processes import cpu_seconds
from bench.report import Target, as_line, table, targets, write_json
from bench.rounds import Ratio, rounds

ONE, TWO = 1, 2
PROCESSORS: Final = ("p1", "p2")
THREADS_EACH: Final = 2
LAST_ROUND_S: Final = 75.0
TIMEOUT_S: Final = 30.0
COLUMNS: Final = ["handler", "1 process, calls/s", "2 processes", "ratio (rounds)", "CPU per call, 1 / 2"]
SLEEP: Final = "sleeps 5 ms"
CASES: Final = {f"computes {ms:g} ms": ms / 1000 for ms in (0.1, 1, 5, 20)} | {SLEEP: 0.0}
ASKED: Final = "computes 5 ms"
MACHINE: Final = "no server: two bare processes"
TARGET: Final = Target(f"two processes against one, handler {ASKED}", "≥", 1.7)
Figures = dict[str, dict[int, list[dict[str, float]]]]


class Engine:
    """A processor that computes as long as it is told: `strings` of one `sleep`, or `emotives` with `loops`."""

    name, time = "Engine", 0

    def __init__(self, processor_id: str) -> None:
        self.id = processor_id

    def observe(self, observation: dict[str, Any]) -> dict[str, Any]:
        if observation["strings"]:
            time.sleep(0.005)
        compute(int(observation["emotives"].get("loops", 0)))
        return {"unique_id": observation["unique_id"]}

    def learn(self) -> str:
        return ""

    def get_predictions(self, unique_id: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return []


def factory(settings: kt.ProcessorSettings) -> Engine:
    return Engine(settings.processor_id)


def compute(loops: int) -> int:
    total = 0
    for number in range(loops):
        total += number & 7
    return total


@frozen
class Serving:
    """A server under way, with all its processes."""

    endpoint: str
    pids: Sequence[int]


@contextmanager
def serving(workers: int, names: Sequence[str] = PROCESSORS) -> Iterator[Serving]:
    """`kato-transport serve` with processors of these names in so many processes."""
    processors = [argument for name in names for argument in ("--processor", f"{name}=bench.workers:factory")]
    command = [sys.executable, "-m", "kato_transport", "serve", "--no-rest", "--transport", "improved", "--zmq-port", "0"]
    command += ["--workers", str(workers), *processors]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        endpoint = json.loads(process.stdout.readline())["zmq"]
        yield Serving(endpoint, [process.pid, *_children(process.pid)])
    finally:
        process.terminate()
        process.communicate()


def _children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def loops_of(seconds: float) -> int:
    """How often `compute` goes round in so long, by CPU time; the best of several, as a busy machine can only be slower."""
    tries = []
    for _ in range(5):
        began = time.process_time()
        compute(100_000)
        tries.append(time.process_time() - began)
    return int(seconds / min(tries) * 100_000)


def run(server: Serving, params: dict[str, Any], seconds: float, names: Sequence[str] = PROCESSORS) -> dict[str, float]:
    """Answers per second, and CPU of the server for each."""
    answered = [0] * (len(names) * THREADS_EACH)
    with kt.connect(server.endpoint, transport="improved", timeout_s=TIMEOUT_S) as client:
        ready = threading.Barrier(len(answered) + 1)
        until = [0.0]

        def ask(place: int) -> None:
            processor_id = names[place % len(names)]
            client.call("observe", params, processor_id=processor_id)
            ready.wait()
            while time.monotonic() < until[0]:
                client.call("observe", params, processor_id=processor_id)
                answered[place] += 1

        threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(answered))]
        for thread in threads:
            thread.start()
        while ready.n_waiting < len(answered):
            time.sleep(0.001)
        cpu, began = sum(map(cpu_seconds, server.pids)), time.monotonic()
        until[0] = began + seconds
        ready.wait()
        for thread in threads:
            thread.join()
        took, cpu = time.monotonic() - began, sum(map(cpu_seconds, server.pids)) - cpu
    calls = sum(answered)
    return {"per second": calls / took, "CPU ms per call": cpu / calls * 1000}


def run_bare(processes: int, loops: int, seconds: float) -> dict[str, float]:
    """What as many processes compute that nobody asks: the most that there is to be had at this moment."""
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(compute, [1] * 4 * processes))  # they have started
        done = list(pool.map(_computed, [loops] * processes, [time.monotonic() + seconds] * processes))
    calls = sum(done)
    return {"per second": calls / seconds, "CPU ms per call": 0.0}


def _computed(loops: int, until: float) -> int:
    done = 0
    while time.monotonic() < until:
        compute(loops)
        done += 1
    return done


def measure(count: int, seconds: float) -> Figures:
    """The figures of each round, by case and number of processes."""
    figures: Figures = {case: {ONE: [], TWO: []} for case in (*CASES, MACHINE)}
    with ExitStack() as running:
        servers = {workers: running.enter_context(serving(workers)) for workers in (ONE, TWO)}
        for _ in rounds(count, LAST_ROUND_S):
            for case, computes_s in CASES.items():
                params = {"strings": ["sleep"] if case == SLEEP else [], "vectors": [], "unique_id": "o"}
                asked = {**params, "emotives": {"loops": loops_of(computes_s)}}
                for workers, server in servers.items():
                    figures[case][workers].append(run(server, asked, seconds))
            for workers in servers:
                figures[MACHINE][workers].append(run_bare(workers, loops_of(CASES[ASKED]), seconds))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each case, server and round")
    parser.add_argument("--json", help="file for every figure")
    arguments = parser.parse_args()
    ran_on = environment()
    figures = measure(arguments.rounds, arguments.seconds)
    print(as_line(ran_on), end="\n\n")
    print(
        table(
            ["handler", "1 process, calls/s", "2 processes", "ratio (rounds)", "CPU per call, 1 / 2"],
            map(_row, figures.items()),
        )
    )
    asked = _ratio(figures["computes 5 ms"])
    print("\n" + targets([(TARGET, asked.median)]))
    write_json(arguments.json, environment=ran_on, figures=figures)


def _ratio(by_workers: dict[int, list[dict[str, float]]]) -> Ratio:
    one, two = ([figures["per second"] for figures in by_workers[workers]] for workers in (ONE, TWO))
    ratio = Ratio.of(two, one)
    assert ratio is not None
    return ratio


def _row(item: tuple[str, dict[int, list[dict[str, float]]]]) -> list[str]:
    case, by_workers = item
    medians = {
        (workers, name): sorted(figure[name] for figure in figures)[len(figures) // 2]
        for workers, figures in by_workers.items()
        for name in ("per second", "CPU ms per call")
    }
    rates = [f"{medians[workers, 'per second']:,.0f}" for workers in (ONE, TWO)]
    cpu = " / ".join(f"{medians[workers, 'CPU ms per call']:.2f} ms" for workers in (ONE, TWO))
    return [case, *rates, str(_ratio(by_workers)), cpu]


if __name__ == "__main__":
    main()
