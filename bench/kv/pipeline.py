"""From publishers to an index over real sockets: blocks per CPU-second of the process that indexes, all its threads.

Eight publishers speak as vLLM 0.33 does, 64 blocks a batch, as fast as they can; the last four say what the first four
said, as pods do that got the same prompts. Start-up is not counted: CPU time is read once the process is connected, and
again once the last block of every publisher is there. Both sides get the same bytes; ours asks for a replay first and
keeps its state, counts and metrics, as always.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import create_server
from typing import Any, Final, Protocol

from bench.kv import workload
from bench.kv.workload import BLOCK_SIZE, Chain
from bench.processes import cpu_seconds
from kato_transport_kv_events.testing import EventPublisher, encode_batch, find_dialect, stored

DIALECT: Final = "vllm-0.33.0"
PODS: Final = 4
"""Of either half."""
EVENTS: Final = 2
"""Of 32 blocks, in a batch."""
PATIENCE_S: Final = 120.0
POLL_S: Final = 0.05

Payloads = list[list[bytes]]
"""By pod."""


class Follower(Protocol):
    pid: int

    def wait_for(self, blocks: int, pods: range) -> None:
        """Until the index has so many blocks, those of these pods the latest."""


def figures(subject: str, python: Path, core: int, blocks: int) -> dict[str, float]:
    """Of one subject."""
    chains = _chains(blocks)
    payloads = [_payloads(chains[pod]) for pod in range(PODS)]
    count = sum(chain.blocks for some in chains for chain in some)
    with ExitStack() as stack:
        publishers = [stack.enter_context(EventPublisher(DIALECT, high_water_mark=0)) for _ in range(2 * PODS)]
        follow = _dynamo if subject == "dynamo.indexer" else _ours
        follower = stack.enter_context(follow(subject, python, core, publishers, chains))
        made = {}
        for half, name in enumerate(("publisher to index", "publisher to index, known from another pod")):
            pods = range(half * PODS, (half + 1) * PODS)
            began = cpu_seconds(follower.pid)
            _publish([publishers[pod] for pod in pods], payloads)
            follower.wait_for((half + 1) * count, pods)
            made[name] = count / (cpu_seconds(follower.pid) - began)
        return made


# --- publishers ---------------------------------------------------------------------------------------------------------


def _chains(blocks: int) -> list[list[Chain]]:
    """By pod; the last one of each is a single event, by which it is seen that everything is there."""
    chains = workload.chains(blocks, PODS)
    ends = [Chain(len(chains) + pod, pod, workload.PREFILL) for pod in range(PODS)]
    return [[chain for chain in chains if chain.pod == pod] + [ends[pod]] for pod in range(PODS)]


def _payloads(chains: Sequence[Chain]) -> list[bytes]:
    events = [event for batch in workload.stored_by_32(chains) for event in batch]
    return [_payload(events[at : at + EVENTS]) for at in range(0, len(events), EVENTS)]


def _payload(events: Sequence[Any]) -> bytes:
    there = [
        stored(*event.hashes, parent_block_hash=event.parent, token_ids=event.tokens, block_size=BLOCK_SIZE) for event in events
    ]
    return encode_batch(there, find_dialect(DIALECT), timestamp_s=time.time())


def _publish(publishers: Sequence[EventPublisher], payloads: Payloads) -> None:
    """In turn, as far as each has any."""
    for number in range(max(map(len, payloads))):
        for publisher, mine in zip(publishers, payloads, strict=True):
            if number < len(mine):
                publisher.publish_payload(mine[number])


# --- ours ---------------------------------------------------------------------------------------------------------------


class _Ours:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self._process = process

    def hear(self, word: str) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if said != word:
            raise RuntimeError(f"the index said {said!r}, not {word!r}; its exit code is {self._process.poll()}")

    def wait_for(self, blocks: int, pods: range) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{blocks}\n")
        self._process.stdin.flush()
        self.hear("there")


@contextmanager
def _ours(
    subject: str, python: Path, core: int, publishers: Sequence[EventPublisher], chains: list[list[Chain]]
) -> Iterator[Follower]:
    pairs = [f"{publisher.endpoint}={publisher.replay_endpoint}" for publisher in publishers]
    keys = "hashes" if "hashes" in subject else "keys"
    command = [python, "-m", "bench.kv.follow", str(core), keys, *pairs]
    with _process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        follower = _Ours(process)
        follower.hear("ready")
        yield follower


# --- dynamo.indexer -----------------------------------------------------------------------------------------------------


class _Dynamo:
    """Two threads index, beside those that it listens with."""

    def __init__(self, pid: int, address: str, chains: list[list[Chain]]) -> None:
        self.pid = pid
        self._address = address
        self._chains = chains

    def wait_for(self, blocks: int, pods: range) -> None:
        for pod in pods:
            end = self._chains[pod % PODS][-1]
            asked = {"model_name": "default", "token_ids": end.tokens().tolist()}
            wait(lambda asked=asked, pod=pod, end=end: self._score(asked, pod) == len(end.tokens()))  # type: ignore[misc]

    def _score(self, asked: dict[str, Any], pod: int) -> int:
        scores = fetch(f"{self._address}/query", asked)["scores"]
        return int(scores.get(str(pod), {}).get("0", 0))


@contextmanager
def _dynamo(
    subject: str, python: Path, core: int, publishers: Sequence[EventPublisher], chains: list[list[Chain]]
) -> Iterator[Follower]:
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    workers = ",".join(f"{pod}={publisher.endpoint}" for pod, publisher in enumerate(publishers))
    options = ["--block-size", str(BLOCK_SIZE), "--port", str(port), "--threads", "2", "--workers", workers]
    command = ["taskset", "-c", str(core), python, "-m", "dynamo.indexer", *options]
    with _process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for publisher in publishers:
            publisher.wait_for_subscribers()
        address = f"http://127.0.0.1:{port}"
        wait(lambda: _listens(f"{address}/workers"))
        yield _Dynamo(process.pid, address, chains)


def _listens(url: str) -> bool:
    with suppress(OSError):
        return all(worker["status"] == "active" for worker in fetch(url))
    return False


def fetch(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not everything was indexed within {PATIENCE_S:g} s")
        time.sleep(POLL_S)


@contextmanager
def _process(command: Sequence[Any], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    root = Path(__file__).parents[2]
    process = subprocess.Popen([str(word) for word in command], cwd=root, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def main() -> None:
    subject, python, core, blocks = sys.argv[1:]
    print(json.dumps(figures(subject, Path(python), int(core), int(blocks))))


if __name__ == "__main__":
    main()
