"""An engine's own publisher in this process: `python -m interop.peers.publisher CONFIG`.

What it publishes is made up; how, is the engine's: classes, encoding, sockets, replay, threads.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
from types import ModuleType
from typing import Any

import msgspec
import zmq

from interop.peers.cache import Cache, Fields
from interop.peers.lines import as_rows, own_output, sent_size, serve
from interop.peers.stubs import load

LARGE = 64
"""Blocks of a batch that is to fill sockets."""
REBIND_S = 10.0


class Publisher:
    """One publisher after the other, at the same endpoints; each has a cache of its own."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._module = load(config["path"])
        self._begin()

    def _begin(self) -> None:
        self._publisher = _publisher(self._module, self._config["publisher"])
        has_groups = "group_idx" in self._module.BlockRemoved.__struct_fields__
        self._cache = Cache(self._config["hashes"], [0, 1] if has_groups else [None], ["GPU", "CPU"])
        self._bytes = 0

    def store(self, blocks: int = 4) -> dict[str, int]:
        """A batch with one new chain."""
        return self._publish([self._cache.stored(blocks)])

    def run(self, batches: int) -> dict[str, int]:
        """Batches with events that store, copy and evict."""
        for _ in range(batches):
            self._publish(self._cache.some())
        return self._sent()

    def flood(self, batches: int) -> dict[str, int]:
        """Batches as large as they get."""
        for _ in range(batches):
            self._publish([self._cache.stored(LARGE)])
        return self._sent()

    def clear(self) -> dict[str, int]:
        return self._publish(self._cache.cleared())

    def restart(self) -> None:
        """An orderly end, and another life."""
        self._publisher.shutdown()
        until = time.monotonic() + REBIND_S
        while True:
            try:
                return self._begin()
            except zmq.ZMQError as exc:  # its sockets are closed, but by another thread, some time
                if exc.errno != zmq.EADDRINUSE or time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def resident(self, without: tuple[int, int] = (0, 0)) -> list[list[Any]]:
        return as_rows(self._cache.resident(without))

    def _publish(self, events: list[Fields]) -> dict[str, int]:
        """One batch; it is on its way, and replayed to whoever asks, when this returns."""
        batch = self._module.KVEventBatch(ts=time.time(), events=[self._built(event) for event in events])
        self._publisher.publish(batch)
        self._publisher._event_queue.join()
        self._cache.published(events)
        self._bytes += sent_size(self._config["publisher"]["topic"], msgspec.msgpack.encode(batch))
        return self._sent()

    def _sent(self) -> dict[str, int]:
        return {"batches": self._cache.batches, "bytes": self._bytes}

    def _built(self, fields: Fields) -> Any:
        kind = getattr(self._module, fields["type"])
        return kind(**{name: fields.get(name) for name in kind.__struct_fields__})


def _publisher(module: ModuleType, options: dict[str, Any]) -> Any:
    """The version's own, by the name that it gives the rank."""
    rank = next(name for name in inspect.signature(module.ZmqEventPublisher).parameters if name.endswith("rank"))
    return module.ZmqEventPublisher(**{rank: 0}, **options)


def main() -> None:
    answers = own_output()
    publisher = Publisher(json.loads(sys.argv[1]))
    commands = (publisher.store, publisher.run, publisher.flood, publisher.clear, publisher.restart, publisher.resident)
    serve({command.__name__: command for command in commands}, answers)


if __name__ == "__main__":
    main()
