"""Blocks decoded per CPU-second, by size and encoding of the events, against msgspec and msgpack alone.

    python bench/kv_decode.py [--rounds 9] [--seconds 0.2] [--json FILE]

Each batch holds one event, as an engine's step makes it: 1 block of 16 tokens (decoding) or 32 (prefill). `batch` is what
a subscription does: `decode_batch`, tokens left packed; `tokens` reads every token as well, as an index of new blocks has
to. `typed` is msgspec into the wire's own types without making events of them, `untyped` is msgspec and `msgpack` is
msgpack-python into lists and dicts. Rounds alternate over the subjects, so that a noisy moment hits all of them; figures
are the best of the rounds. Absolute figures of a shared machine mean little; the ratios are the result.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import msgpack
import msgspec

from kato_transport.events import BlockStored
from kato_transport_kv_events.wire import decode_batch
from kato_transport_kv_events.wire.structs import ArrayBatch, MapBatch

BLOCK_SIZE = 16
VOCABULARY = 128_000
PAYLOADS = 64

Decode = Callable[[bytes], object]


def payloads(blocks: int, as_map: bool) -> list[bytes]:
    """Batches like vLLM's, of one event each; seeded, so that every run reads the same bytes."""
    dice = random.Random(blocks)
    return [msgspec.msgpack.encode(batch(dice, blocks, as_map)) for _ in range(PAYLOADS)]


def batch(dice: random.Random, blocks: int, as_map: bool) -> list[object]:
    event = {
        "type": "BlockStored",
        "block_hashes": [dice.getrandbits(64) for _ in range(blocks)],
        "parent_block_hash": dice.getrandbits(64),
        "token_ids": [dice.randrange(VOCABULARY) for _ in range(blocks * BLOCK_SIZE)],
        "block_size": BLOCK_SIZE,
        "lora_id": None,
        "medium": "GPU",
        "lora_name": None,
        "extra_keys": [None] * blocks,
        "group_idx": 0,
        "kv_cache_spec_kind": "full_attention",
    }
    return [time.time(), [event if as_map else list(event.values())], 0]


def with_tokens(payload: bytes) -> None:
    for event in decode_batch(payload, pod="pod", sequence=1).events:
        if isinstance(event, BlockStored):
            event.token_ids.as_array()


def subjects(as_map: bool) -> dict[str, Decode]:
    return {
        "batch": lambda payload: decode_batch(payload, pod="pod", sequence=1),
        "tokens": with_tokens,
        "typed": msgspec.msgpack.Decoder(MapBatch if as_map else ArrayBatch).decode,
        "untyped": msgspec.msgpack.Decoder().decode,
        "msgpack": msgpack.unpackb,
    }


def rate(decode: Decode, given: list[bytes], seconds: float) -> float:
    """Payloads per CPU-second."""
    done = 0
    started = time.process_time()
    while (took := time.process_time() - started) < seconds:
        for payload in given:
            decode(payload)
        done += len(given)
    return done / took


def measure(rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    cases = [(blocks, as_map) for blocks in (1, 32) for as_map in (False, True)]
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for blocks, as_map in cases:
            figures = best.setdefault(f"{blocks}-block {'map' if as_map else 'array'}", {})
            for name, decode in subjects(as_map).items():
                figures[name] = max(figures.get(name, 0.0), blocks * rate(decode, payloads(blocks, as_map), seconds))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.2, help="CPU-seconds of a round for each subject")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = measure(options.rounds, options.seconds)
    names = list(subjects(as_map=True))
    print(f"{'M blocks / CPU-second':24}" + "".join(f"{name:>10}" for name in names))
    for case, figures in results.items():
        print(f"{case:24}" + "".join(f"{figures[name] / 1e6:10.3f}" for name in names))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
