"""What processors that compute get done, by how many there are: `python -m bench.scaling.processors COUNT`.

In one process, and in one each; a call computes for about 5 ms in Python.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from bench.workers import loops_of, run, serving

COMPUTES_S: Final = 0.005
SECONDS: Final = 0.7


def figures(count: int) -> dict[str, float]:
    """Calls per second of all processors together, and milliseconds of CPU time for each."""
    names = [f"p{number}" for number in range(count)]
    params = {"strings": [], "vectors": [], "emotives": {"loops": loops_of(COMPUTES_S)}, "unique_id": "o"}
    made: dict[str, float] = {}
    for title, workers in (("one process", 1), ("a process each", count)):
        with serving(workers, names) as server:
            found = run(server, params, SECONDS, names)
        made |= {f"{title}, {name}": figure for name, figure in found.items()}
    return made


if __name__ == "__main__":
    print(json.dumps(figures(int(sys.argv[1]))))
