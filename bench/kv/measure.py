"""One subject's figures, in a process of its own that is kept to one core: `python -m bench.kv.measure SUBJECT SCENARIO ...`.

Throughput is by CPU time of the whole process, all its threads, so that other load on the machine does not count; the p50
of single calls is by the wall clock, and beside it is the CPU time of the mean call. What a subject is given is made
outside the measured time, some 256 blocks before it is needed. Every answer that is measured was checked once before.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from bench.kv import workload
from bench.kv.workload import Batch, Chain

HOLDERS: Final = 16
ASKED: Final = (32, 128, 512)
"""Blocks of a request."""
REQUESTS, PASSES = 200, 5
FORGOTTEN: Final = 5
"""Pods."""

Figures = dict[str, float]
SUBJECTS: Final = {
    "index": "bench.kv.ours:Read",
    "index, tokens packed": "bench.kv.ours:Packed",
    "index, hashes only": "bench.kv.ours:Hashes",
    "RadixTree": "bench.kv.radix:Radix",
}


# --- scenarios ----------------------------------------------------------------------------------------------------------


def prefill(subject: Any, blocks: int, pods: int) -> Figures:
    chains, empty = workload.chains(blocks, pods), resident_bytes()
    figures = {"store by 32": rate(subject, workload.stored_by_32(chains))}
    figures["bytes per block, 1 holder"] = (resident_bytes() - empty) / blocks
    for length in ASKED:
        figures |= matched(subject, chains, length, {chain.number: {chain.pod: length} for chain in chains}, "1 holder")
    figures |= forgotten(subject, chains)
    kept = [chain for chain in chains if chain.pod >= FORGOTTEN]
    return figures | {"remove by 32": rate(subject, workload.removed_by_32(kept))}


def decoding(subject: Any, blocks: int, pods: int) -> Figures:
    """A quarter of the blocks, as each is an event."""
    chains = workload.chains(blocks // 4, pods)
    return {
        "store by 1": rate(subject, workload.stored_by_1(chains)),
        "remove by 1": rate(subject, workload.removed_by_1(chains)),
    }


def shared(subject: Any, blocks: int, pods: int) -> Figures:
    """The same prompts at 16 pods, one after the other, that hash alike; a quarter of the blocks."""
    chains, empty, name = workload.chains(blocks // 4, pods), resident_bytes(), f"{HOLDERS} holders"
    everywhere = [held for pod in range(HOLDERS) for held in workload.held_by(chains, pod)]
    figures = {f"store by 32, {name}": rate(subject, workload.stored_by_32(everywhere))}
    figures[f"bytes per block, {name}"] = (resident_bytes() - empty) / (blocks // 4)
    for length in ASKED:
        answer = dict.fromkeys(range(HOLDERS), length)
        figures |= matched(subject, chains, length, {chain.number: answer for chain in chains}, name)
    return figures | {f"remove by 32, {name}": rate(subject, workload.removed_by_32(everywhere))}


def own(subject: Any, blocks: int, pods: int) -> Figures:
    """The same prompts at 16 pods, each of which hashes with a seed of its own; a sixteenth of the blocks."""
    chains, empty = workload.chains(blocks // HOLDERS, pods), resident_bytes()
    for pod in range(HOLDERS):
        for batch in workload.stored_whole(workload.held_by(chains, pod), salt=pod):
            subject.apply(subject.given(batch))
    return {f"bytes per block, {HOLDERS} with hashes of their own": (resident_bytes() - empty) / (blocks // HOLDERS)}


SCENARIOS: Final[dict[str, Callable[[Any, int, int], Figures]]] = {
    "prefill": prefill,
    "decoding": decoding,
    "shared": shared,
    "own": own,
}


# --- what is measured ---------------------------------------------------------------------------------------------------


def rate(subject: Any, batches: Iterable[Batch]) -> float:
    """Blocks per CPU-second."""
    spent, blocks = 0.0, 0
    for batch in batches:
        given = subject.given(batch)
        began = time.process_time()
        subject.apply(given)
        spent += time.process_time() - began
        blocks += sum(len(event.hashes) for event in batch)
    return blocks / spent


def matched(subject: Any, chains: Sequence[Chain], length: int, right: dict[int, dict[int, int]], name: str) -> Figures:
    """Requests whose every block is there: prepared, and as token ids with the answer read."""
    some = [chain for chain in chains if chain.blocks >= length][:REQUESTS]
    requests = [subject.request(chain, length) for chain in some]
    for chain, request in zip(some, requests, strict=True):
        found = subject.who(subject.match(request))
        if found != right[chain.number]:
            raise AssertionError(f"{found} hold chain {chain.number}, not {right[chain.number]}")
    title = f"match {length}, {name}"
    p50, cpu = calls(subject.match, requests)
    read, _ = calls(lambda request: subject.read(subject.match(request)), requests)
    figures = {title: p50, f"{title}, CPU": cpu, f"{title}, answer read": read}
    if subject.match_tokens is not None:
        figures[f"{title}, from tokens"], _ = calls(subject.match_tokens, [chain.tokens(length).tolist() for chain in some])
    return figures


def calls(function: Callable[[Any], object], arguments: list[Any]) -> tuple[float, float]:
    """Microseconds of a call: the p50 by the wall clock, and the CPU time of the mean one."""
    took, clock, began = [], time.perf_counter_ns, time.process_time_ns()
    for argument in arguments * PASSES:
        started = clock()
        function(argument)
        took.append(clock() - started)
    return statistics.median(took) / 1e3, (time.process_time_ns() - began) / len(took) / 1e3


def forgotten(subject: Any, chains: Sequence[Chain]) -> Figures:
    """Milliseconds to forget a pod; and what the index does about it later, with events that it is told anyway."""
    took = []
    for pod in range(FORGOTTEN):
        began = time.process_time()
        subject.forget(pod)
        took.append(1e3 * (time.process_time() - began))
    figures = {"forget a source": statistics.median(took)}
    if hasattr(subject, "is_swept"):
        left = sum(chain.blocks for chain in chains if chain.pod >= FORGOTTEN)
        nothing = subject.given([workload.Removed(FORGOTTEN, [0])] * 64)
        began = time.process_time()
        while not subject.is_swept(left):
            subject.apply(nothing)
        figures["forget a source, swept later"] = 1e3 * (time.process_time() - began) / FORGOTTEN
    return figures


def resident_bytes() -> int:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


# --- the process --------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--blocks", type=int, default=1_000_000)
    parser.add_argument("--pods", type=int, default=64)
    parser.add_argument("--core", type=int, help="the only one to run on")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    module, _, name = SUBJECTS[options.subject].partition(":")
    subject = getattr(importlib.import_module(module), name)()
    print(json.dumps(SCENARIOS[options.scenario](subject, options.blocks, options.pods)))


if __name__ == "__main__":
    main()
