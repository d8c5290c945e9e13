"""`EventStream`: an index follows an engine that loses batches, is killed with SIGKILL, and comes back with an empty cache."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from kato_transport.cli.demo import wait_until
from kato_transport.errors import ConnectFailed
from kato_transport_kv_events.demo.engine import prompt
from kato_transport_kv_events.index import BlockIndex
from kato_transport_kv_events.stream import State, StreamSettings
from kato_transport_kv_events.subscription import KVEventManager, Source

POD: Final = "engine-0"
BLOCKS: Final = 32
"""Of each prompt that is asked about."""
GAPS: Final = 3
"""How many are waited for."""


class Engine:
    """A process; its endpoints stay the same over its lives."""

    def __init__(self) -> None:
        self.endpoints: list[str] = []
        self.life = 0
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self.life += 1
        module = f"{__package__}.engine"
        command = [sys.executable, "-m", module, str(self.life), *self.endpoints]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise ConnectFailed(f"the engine did not start (exit status {self._process.wait()}); see its message above")
        self.endpoints = json.loads(line)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    close = kill


class EventStream:
    """A scene of the demonstration."""

    title = "an event stream: an engine tells what enters its KV cache, and an index follows"

    def lines(self) -> Iterator[str]:
        index = BlockIndex()
        with KVEventManager([index], settings=StreamSettings(grace_s=0.5)) as manager, closing(Engine()) as engine:
            endpoint, replay_endpoint = engine.endpoints
            manager.add_source(Source(pod=POD, endpoint=endpoint, replay_endpoint=replay_endpoint))
            first = prompt(engine.life, BLOCKS)
            wait_until(lambda: _holds(index, first, State.EXACT) and manager.stats()[0].gaps >= GAPS)
            stats = manager.stats()[0]
            yield f"{POD} holds all {BLOCKS} blocks of a prompt, and that is exact"
            yield f"of {stats.last_sequence + 1} batches {stats.gap_batches} were lost on the way; they were asked for again"
            engine.kill()
            wait_until(lambda: _holds(index, first, State.STALE))
            yield f"kill -9 {engine.pid}: what it held is answered as stale"
            engine.start()
            returned = time.monotonic()
            wait_until(lambda: not index.match(first).pods)
            yield f"back on the same ports, with an empty cache: noticed {(time.monotonic() - returned) * 1000:.0f} ms later"
            wait_until(lambda: _holds(index, prompt(engine.life, BLOCKS), State.EXACT))
            yield f"{POD} holds all {BLOCKS} blocks of its next prompt, and that is exact"


def _holds(index: BlockIndex, token_ids: range, state: State) -> bool:
    """Whether the answer about a prompt is that all of it is there, in this state."""
    pods = index.match(token_ids).pods
    return bool(pods) and (pods[0].blocks, pods[0].state) == (BLOCKS, state)
