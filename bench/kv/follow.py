"""A block index that follows publishers, in a process of its own: `python -m bench.kv.follow CORE KEYS ENDPOINT=REPLAY ...`.

Says `ready` once every source is exact; then, for each number of blocks that it reads, `there` once so many are held.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from kato_transport_kv_events import BlockIndex, KVEventManager, Source, State

PATIENCE_S = 120.0
POLL_S = 0.02


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not everything was indexed within {PATIENCE_S:g} s")
        time.sleep(POLL_S)


def main() -> None:
    core, keys, *endpoints = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    index = BlockIndex() if keys == "keys" else BlockIndex(keys=False)
    with KVEventManager([index]) as manager:
        for number, pair in enumerate(endpoints):
            endpoint, replay = pair.split("=")
            manager.add_source(Source(pod=f"pod-{number}", endpoint=endpoint, replay_endpoint=replay))
        wait(lambda: all(source.state is State.EXACT for source in manager.stats()))
        print("ready", flush=True)
        for line in sys.stdin:
            wait(lambda held=int(line): index.stats().resident >= held)  # type: ignore[misc]
            print("there", flush=True)


if __name__ == "__main__":
    main()
