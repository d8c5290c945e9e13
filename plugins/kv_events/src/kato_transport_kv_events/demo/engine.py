"""An engine at work on one endless prompt: `python -m kato_transport_kv_events.demo.engine LIFE [ENDPOINT REPLAY_ENDPOINT]`.

It says where it listens in a line of JSON, publishes a block every few milliseconds, loses some of the batches on the way,
and ends with its input.
"""

from __future__ import annotations

import json
import sys
import threading
from itertools import count
from typing import Final

from kato_transport_kv_events.testing import EventPublisher, stored
from kato_transport_kv_events.testing.publisher import ANY_PORT

BLOCK_TOKENS: Final = 16
LIFE_TOKENS: Final = 1_000_000
PACE_S: Final = 0.005
LOST_EVERY: Final = 8


def prompt(life: int, blocks: int) -> range:
    """The beginning of what the engine works on in a life, another one in each."""
    return range(life * LIFE_TOKENS, life * LIFE_TOKENS + blocks * BLOCK_TOKENS)


def main(life: int, endpoint: str = ANY_PORT, replay_endpoint: str = ANY_PORT) -> None:
    with EventPublisher("vllm-0.33.0", endpoint=endpoint, replay_endpoint=replay_endpoint) as publisher:
        sys.stdout.write(json.dumps([publisher.endpoint, publisher.replay_endpoint]) + "\n")
        sys.stdout.flush()
        _publish(publisher, life, _input_ended())


def _publish(publisher: EventPublisher, life: int, ended: threading.Event) -> None:
    parent = None
    for number in count(1):
        if ended.wait(PACE_S):
            return
        tokens = prompt(life, number)[-BLOCK_TOKENS:]
        send = publisher.publish if number % LOST_EVERY else publisher.skip
        send(stored(tokens[0], parent_block_hash=parent, token_ids=tokens, block_size=BLOCK_TOKENS))
        parent = tokens[0]


def _input_ended() -> threading.Event:
    """Set once nobody is there any more who could want the engine."""
    ended = threading.Event()

    def read() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=read, name="kato-kv-demo-input", daemon=True).start()
    return ended


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
