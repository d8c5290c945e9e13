"""The router of `kv_router.py` at work: two engines of different kinds, played here, and a gateway that asks.

Prints:

    a known prompt: pod-a has 48 of its 64 tokens
    one that begins like it: pod-b has 16 of its 32 tokens
    one that nobody knows: pod-b has 0 of its 32 tokens
    pod-a is stale, pod-b is exact
    the known prompt: pod-b has 16 of its 64 tokens
"""

from __future__ import annotations

import logging
import time

from kv_router import Router

import kato_transport as kt
from kato_transport_kv_events import Source
from kato_transport_kv_events.testing import EventPublisher, stored


def wait_for(router: Router, **states: str) -> None:
    while {source.pod[-1]: source.state for source in router.manager.stats()} != states:
        time.sleep(0.01)


def route(gateway: kt.Client, what: str, token_ids: list[int]) -> None:
    answer = gateway.call("route", {"token_ids": token_ids})
    print(f"{what}: {answer['pod']} has {answer['cached_tokens']} of its {len(token_ids)} tokens")


def main() -> None:
    logging.getLogger("kato_transport.kv_events").setLevel(logging.ERROR)  # that an engine ends is the play's own doing
    prompt, unknown = list(range(64)), list(range(1000, 1032))
    with EventPublisher("vllm-0.33.0") as a, EventPublisher("sglang-0.5.23") as b:
        a.publish(stored(1, 2, 3, token_ids=prompt[:48], block_size=16))  # before anybody listens: it is asked for again
        b.publish(stored(7, token_ids=prompt[:16], block_size=16))
        engines = {"pod-a": a, "pod-b": b}
        router = Router(*(Source.parse(f"{pod}={e.endpoint},replay={e.replay_endpoint}") for pod, e in engines.items()))
        with (
            router.manager,
            kt.serve({"route": router.route, "done": router.done}, "tcp://127.0.0.1:0") as server,
            kt.connect(server.endpoint) as gateway,
        ):
            wait_for(router, a="exact", b="exact")
            route(gateway, "a known prompt", prompt)
            route(gateway, "one that begins like it", prompt[:16] + unknown[:16])  # both have that, and pod-a is at work
            gateway.call("done", {"pod": "pod-b"})
            route(gateway, "one that nobody knows", unknown)
            a.stop()
            wait_for(router, a="stale", b="exact")
            print("pod-a is stale, pod-b is exact")
            route(gateway, "the known prompt", prompt)


if __name__ == "__main__":
    main()
