"""Send each prompt to the engine that already holds most of it, of any version of vLLM or SGLang; `kv_routing.py` plays this.

python kv_router.py a=tcp://10.0.0.1:5557,replay=tcp://10.0.0.1:5558 b=tcp://10.0.0.2:5557,replay=tcp://10.0.0.2:5558
kato-transport call route --params '{"token_ids": [1, 2, 3]}' --endpoint ENDPOINT
"""

import sys
import threading
from collections import Counter
from contextlib import suppress

import kato_transport as kt
from kato_transport_kv_events import BlockIndex, KVEventManager, Scorer, Source, State, StreamSettings


class Router:
    """Prefers the pod that holds most of a prompt; of equals, the one that has least to do."""

    def __init__(self, *sources: Source) -> None:
        self.index = BlockIndex()
        self.scorer = Scorer(trusted={State.EXACT: 1.0, State.PARTIAL: 1.0, State.SYNCING: 0.8, State.DEGRADED: 0.5})
        self.manager = KVEventManager([self.index], settings=StreamSettings(grace_s=1.0))
        self.pods = [part for source in sources for part in source.parts()]
        self.running: Counter[tuple[str, int]] = Counter()
        for source in sources:
            self.manager.add_source(source)

    @kt.inline  # takes microseconds, on the I/O thread: nobody else counts meanwhile
    def route(self, token_ids: list[int], model: str = "") -> dict[str, object]:
        """Where a prompt should go; `done` is to be called once it is answered."""
        ranked = self.scorer.rank(self.index.match(token_ids, model=model), load=self.load)
        best = ranked[0].pod if ranked and ranked[0].score else None
        pod, rank = (best.pod, best.rank) if best else self.idlest(model)
        self.running[pod, rank] += 1
        return {"pod": pod, "rank": rank, "cached_tokens": best.blocks * best.block_size if best else 0}

    @kt.inline
    def done(self, pod: str, rank: int = 0) -> dict[str, object]:
        self.running[pod, rank] -= 1
        return {"running": self.running[pod, rank]}

    def load(self, pod: str, rank: int) -> float:
        """Prompts under way; whoever is not heard any more comes last."""
        return float("inf") if self.manager.state(pod, rank) is State.STALE else self.running[pod, rank]

    def idlest(self, model: str) -> tuple[str, int]:
        if pods := [(part.pod, part.rank) for part in self.pods if part.model == model]:
            return min(pods, key=lambda pod: self.load(*pod))
        raise kt.ServiceError(f"nobody serves model {model!r}", kt.ErrorCode.NOT_FOUND)


if __name__ == "__main__":
    try:
        router = Router(*map(Source.parse, sys.argv[1:]))
    except kt.InvalidSetting as exc:
        sys.exit(str(exc))
    methods = {"route": router.route, "done": router.done}
    with router.manager, kt.serve(methods, "tcp://127.0.0.1:0") as server, suppress(KeyboardInterrupt):
        print("routing at", server.endpoint, flush=True)
        threading.Event().wait()
