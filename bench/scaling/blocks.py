"""What the block index costs, by how many blocks it holds: `python -m bench.scaling.blocks COUNT`."""

from __future__ import annotations

import json
import sys
from typing import Final

from bench.kv import workload
from bench.kv.measure import calls, rate, resident_bytes
from bench.kv.ours import Read

PODS: Final = 64
LENGTH: Final = 128
REQUESTS: Final = 200
TOUCHED: Final = 10_000
"""Blocks that are stored and removed once so many are there; these are measured."""


def figures(count: int) -> dict[str, float]:
    """Nanoseconds of CPU time for each block and microseconds for each request, when so many blocks are held."""
    index, empty = Read(), resident_bytes()
    chains = workload.chains(count, PODS)
    for batch in workload.stored_by_32(chains):
        index.apply(index.given(batch))
    memory = (resident_bytes() - empty) / count
    long = [chain for chain in chains if chain.blocks >= LENGTH]
    some = long[:: max(1, len(long) // REQUESTS)][:REQUESTS]
    requests = [index.request(chain, LENGTH) for chain in some]
    for request in requests:
        index.read(index.match(request))
    _, match = calls(lambda request: index.read(index.match(request)), requests)
    more = [chain._replace(number=len(chains) + chain.number) for chain in workload.chains(TOUCHED, PODS)]
    return {
        "store, CPU per block": 1e9 / rate(index, workload.stored_by_32(more)),
        "remove, CPU per block": 1e9 / rate(index, workload.removed_by_32(more)),
        "match of 128, CPU": match,
        "memory per block": memory,
    }


if __name__ == "__main__":
    print(json.dumps(figures(int(sys.argv[1]))))
