"""Send each prompt to the engine that already holds most of it: a router around an index of KV-cache events.

It follows vLLM and SGLang engines, of any versions side by side, and says where a prompt should go:

    python kv_router.py a=tcp://10.0.0.1:5557,replay=tcp://10.0.0.1:5558 b=tcp://10.0.0.2:5557,replay=tcp://10.0.0.2:5558
    kato-transport call route --params '{"token_ids": [1, 2, 3]}' --endpoint ENDPOINT

Without arguments it plays two engines itself, and the gateway that asks.

Prints:

    a known prompt: pod-a has 48 of its 64 tokens
    one that begins like it: pod-b has 16 of its 32 tokens
    one that nobody knows: pod-b has 0 of its 32 tokens
    pod-a is stale, pod-b is exact
    the known prompt: pod-b has 16 of its 64 tokens
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import kato_transport as kt
from kato_transport_kv_events import BlockIndex, KVEventManager, Scorer, Source, State, StreamSettings
from kato_transport_kv_events.testing import EventPublisher, stored

TRUSTED = {State.EXACT: 1.0, State.PARTIAL: 1.0, State.SYNCING: 0.8, State.DEGRADED: 0.5}
"""What a source's word is worth, by its state; in any other, nothing."""


class Router:
    """Prefers the pod that holds most of a prompt; of equals, the one that has least to do."""

    def __init__(self, sources: Sequence[Source], index: BlockIndex, manager: KVEventManager) -> None:
        self._sources = [rank for source in sources for rank in source.parts()]
        self._index = index
        self._manager = manager
        self._scorer = Scorer(trusted=TRUSTED)
        self._running: Counter[tuple[str, int]] = Counter()

    @kt.inline  # takes microseconds, on the I/O thread: nobody else counts meanwhile
    def route(self, token_ids: list[int], model: str = "") -> dict[str, Any]:
        """Where a prompt should go; `done` is to be called once it is answered."""
        ranked = self._scorer.rank(self._index.match(token_ids, model=model), load=self._load)
        if ranked and ranked[0].score > 0:
            best = ranked[0].pod
            pod, rank, tokens = best.pod, best.rank, best.blocks * best.block_size
        else:
            pod, rank, tokens = *self._idlest(model), 0
        self._running[pod, rank] += 1
        return {"pod": pod, "rank": rank, "cached_tokens": tokens}

    @kt.inline
    def done(self, pod: str, rank: int = 0) -> dict[str, Any]:
        self._running[pod, rank] -= 1
        return {}

    @kt.inline
    def states(self) -> dict[str, Any]:
        """How far what is known of each pod can be relied upon."""
        return {"states": {source.pod: source.state for source in self._manager.stats()}}

    def _load(self, pod: str, rank: int) -> float:
        """Prompts under way; whoever is not heard any more comes last."""
        return math.inf if self._manager.state(pod, rank) is State.STALE else self._running[pod, rank]

    def _idlest(self, model: str) -> tuple[str, int]:
        pods = [(source.pod, source.rank) for source in self._sources if source.model == model]
        if not pods:
            raise kt.ServiceError(f"nobody serves model {model!r}", kt.ErrorCode.NOT_FOUND)
        return min(pods, key=lambda pod: self._load(*pod))


@contextmanager
def routing(sources: Sequence[Source]) -> Iterator[str]:
    """A router of these engines; gives the endpoint where it answers."""
    index = BlockIndex()
    with KVEventManager([index], settings=StreamSettings(grace_s=1.0)) as manager:
        for source in sources:
            manager.add_source(source)
        router = Router(sources, index, manager)
        methods = {"route": router.route, "done": router.done, "states": router.states}
        with kt.serve(methods, "tcp://127.0.0.1:0") as server:
            yield server.endpoint


def play() -> None:
    """Two engines, and a gateway that asks."""
    logging.getLogger("kato_transport.kv_events").setLevel(logging.ERROR)  # that an engine ends is the play's own doing
    prompt, unknown = list(range(64)), list(range(1000, 1032))
    with EventPublisher("vllm-0.33.0") as a, EventPublisher("sglang-0.5.23") as b:
        a.publish(stored(1, 2, 3, token_ids=prompt[:48], block_size=16))  # before anybody listens: it is asked for again
        b.publish(stored(7, token_ids=prompt[:16], block_size=16))
        engines = {"pod-a": a, "pod-b": b}
        sources = [Source.parse(f"{pod}={e.endpoint},replay={e.replay_endpoint}") for pod, e in engines.items()]
        with routing(sources) as endpoint, kt.connect(endpoint) as gateway:

            def route(what: str, token_ids: list[int]) -> None:
                answer = gateway.call("route", {"token_ids": token_ids})
                print(f"{what}: {answer['pod']} has {answer['cached_tokens']} of its {len(token_ids)} tokens")

            def wait_for(states: dict[str, str]) -> None:
                while gateway.call("states")["states"] != states:
                    time.sleep(0.01)

            wait_for({"pod-a": "exact", "pod-b": "exact"})
            route("a known prompt", prompt)
            route("one that begins like it", prompt[:16] + unknown[:16])  # both have that, and pod-a is at work
            gateway.call("done", {"pod": "pod-b"})
            route("one that nobody knows", unknown)
            a.stop()
            wait_for({"pod-a": "stale", "pod-b": "exact"})
            print("pod-a is stale, pod-b is exact")
            route("the known prompt", prompt)


def main() -> None:
    if len(sys.argv) == 1:
        play()
        return
    try:
        with routing([Source.parse(text) for text in sys.argv[1:]]) as endpoint:
            print("routing at", endpoint, flush=True)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()
    except kt.TransportError as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
