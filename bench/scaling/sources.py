"""What following engines costs, by how many there are: `python -m bench.scaling.sources COUNT`.

The same number of batches, of 32 blocks each, whoever sends them; and what a source costs that says nothing: the memory of
the process that follows, beside an empty one's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import Final

from bench.environment import ROOT
from bench.kv.pipeline import DIALECT
from bench.kv.workload import BLOCK_SIZE, PREFILL, Chain
from bench.processes import cpu_seconds
from kato_transport_kv_events.testing import EventPublisher, encode_batch, find_dialect, stored

BATCHES: Final = 6_000
CORE: Final = 0


def figures(count: int) -> dict[str, float]:
    """Microseconds of CPU time for each batch and each start, KiB for each source."""
    payloads = [_payload(number) for number in range(BATCHES)]
    with ExitStack() as stack:
        publishers = [stack.enter_context(EventPublisher(DIALECT, high_water_mark=0)) for _ in range(count)]
        with _following([]) as empty:
            alone = _resident(empty.pid), cpu_seconds(empty.pid)
        with _following([f"{engine.endpoint}={engine.replay_endpoint}" for engine in publishers]) as follower:
            started = cpu_seconds(follower.pid)
            memory = _resident(follower.pid) - alone[0]
            for number, payload in enumerate(payloads):
                publishers[number % count].publish_payload(payload)
            _hear(follower, "there", BATCHES * PREFILL)
            cpu = cpu_seconds(follower.pid) - started
    return {
        "CPU per batch": cpu / BATCHES * 1e6,
        "CPU per source, to begin": (started - alone[1]) / count * 1e6,
        "memory per source": memory / count / 1024,
    }


def _payload(number: int) -> bytes:
    chain = Chain(number, 0, PREFILL)
    event = stored(*chain.hashes(), token_ids=chain.tokens(), block_size=BLOCK_SIZE)
    return encode_batch([event], find_dialect(DIALECT), timestamp_s=1.0)


def _following(pairs: list[str]) -> subprocess.Popen[str]:
    """A process that follows them, once it knows each exactly; ends with its standard input."""
    command = [sys.executable, "-m", "bench.kv.follow", str(CORE), "keys", *pairs]
    follower = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _hear(follower, "ready")
    return follower


def _hear(follower: subprocess.Popen[str], word: str, *asked: int) -> None:
    assert follower.stdin is not None
    assert follower.stdout is not None
    for number in asked:
        print(number, file=follower.stdin, flush=True)
    said = follower.stdout.readline().strip()
    if said != word:
        raise RuntimeError(f"the process that follows said {said!r}, not {word!r}")


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


if __name__ == "__main__":
    print(json.dumps(figures(int(sys.argv[1]))))
