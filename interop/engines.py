"""What is played against a whole vLLM on the CPU; its block pool is the truth.

An engine takes long to start, so the scenarios of one set-up share it: each begins with a follower of its own, and with what
the ones before it left in the cache.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from interop.follower import SHOWN, Follower, Unequal
from interop.peer import Peer
from interop.stage import Engine, Scenario, Stage, happened, log_folder
from kato_transport_kv_events import Policy, State

READY_S: Final = 180.0
BLOCK_SIZE: Final = 32
BLOCKS: Final = 40
"""Of the whole cache, so that a few prompts evict each other."""
SHORT: Final = 5
"""Batches that a short buffer keeps."""
SOON_S: Final = 0.5
LONGEST: Final = 480
"""Tokens of a prompt."""
RECENT: Final = 4
"""Prompts that later ones begin as."""
VOCABULARY: Final = range(3, 1000)
ENVIRONMENT: Final = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # so that the cache can be looked at
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",  # several that wait for each other take long on a busy machine
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


class WholeEngine(Engine):
    """`generate` with made-up prompts; every engine is asked the same ones."""

    def __init__(
        self, python: Path, home: Path, *, hybrid: bool = False, buffer_steps: int = 10_000, environment: Mapping[str, str] = {}
    ) -> None:
        self._random = random.Random(11)
        self._folder = tempfile.TemporaryDirectory(prefix="interop-model-")

        def peer(port: int, replay_port: int) -> Peer:
            sizes = {"block_size": BLOCK_SIZE, "blocks": BLOCKS, "buffer_steps": buffer_steps, "hybrid": hybrid}
            endpoints = {"endpoint": f"tcp://*:{port}", "replay_endpoint": f"tcp://*:{replay_port}"}
            config = {"folder": self._folder.name, **sizes, **endpoints}
            log = log_folder(home) / "engine.log"
            return Peer(python, "interop.peers.engine", config, log, {**ENVIRONMENT, **environment}, READY_S)

        super().__init__(peer)

    def generate(self, *prompts: list[int], tokens: int = 1, salt: str | None = None) -> list[int]:
        """How many tokens of each prompt the engine had in its cache."""
        cached: list[int] = self.peer.ask("generate", prompts=prompts, tokens=tokens, salt=salt)
        return cached

    def prompt(self, length: int) -> list[int]:
        return self._random.choices(VOCABULARY, k=length)

    def varied(self) -> None:
        """What fits into the cache: a shared prefix, the same again, blocks made while decoding, several at once, a salt."""
        shared = self.prompt(84)
        self.generate(shared)
        self.generate(shared + self.prompt(70))
        self.generate(shared, tokens=40)
        self.generate(*[shared + self.prompt(40) for _ in range(3)])
        self.generate(*[self.prompt(3 * BLOCK_SIZE)] * 2)  # the last block is computed anew, so that there are two of it
        self.generate(shared, salt="tenant-1")

    def requests(self, count: int) -> Iterator[tuple[list[int], str | None]]:
        """Prompts and cache salts; many begin as an earlier one does."""
        known: list[list[int]] = [[]]
        for _ in range(count):
            begun = self._random.choice(known[-RECENT:])
            kept = self._random.choice([len(begun), self._random.randint(0, len(begun))])
            known.append(begun[:kept][: LONGEST // 2] + self.prompt(self._random.randint(1, LONGEST // 4)))
            yield known[-1], self._random.choice([None, None, None, "tenant-1"])

    def crowded(self) -> None:
        """Far more than fits."""
        for _ in range(12):
            self.generate(self.prompt(200), tokens=20)
        self.generate(*[self.prompt(150) for _ in range(10)], tokens=40)

    def sent(self) -> int:
        """Bytes of all batches on their connections; only with a buffer that has them all."""
        size: int = self.peer.ask("sent")
        return size

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()


@frozen
class SetUp:
    """One engine, and what is played with it."""

    name: str
    scenarios: tuple[Scenario, ...]
    options: Mapping[str, Any] = {}


def late_start(engine: WholeEngine, stage: Stage) -> None:
    engine.varied()
    happened(max(engine.resident().values()) > 1, "two copies of a block")
    follower = stage.follow(engine)
    follower.comes_to(State.EXACT, engine.resident())
    engine.varied()
    follower.comes_to(State.EXACT, engine.resident())


def evictions(engine: WholeEngine, stage: Stage) -> None:
    follower = _following(engine, stage)
    for _ in range(3):
        engine.crowded()
        engine.varied()
        follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.events_processed["BlockRemoved"] > BLOCKS, "evictions")


def reset(engine: WholeEngine, stage: Stage) -> None:
    follower = _following(engine, stage)
    happened(engine.peer.ask("reset"), "a reset")
    engine.varied()
    follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.events_processed["AllBlocksCleared"] > 0, "a clear")


def gap(engine: WholeEngine, stage: Stage) -> None:
    follower = _following(engine, stage)
    with follower.deaf(engine.sent):
        engine.crowded()
    engine.varied()
    follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.gaps > 0, "a gap")


def gap_over_a_reconnection(engine: WholeEngine, stage: Stage) -> None:
    follower = _following(engine, stage)
    with follower.cut_off():
        engine.crowded()
    follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.connections > 1, "a reconnection")


def lost_tail(engine: WholeEngine, stage: Stage) -> None:
    follower = _following(engine, stage, probe_s=SOON_S)
    with follower.deaf(engine.sent):
        engine.crowded()
    follower.comes_to(State.EXACT, engine.resident())


def matches(engine: WholeEngine, stage: Stage) -> None:
    """What the index says of a request before it is made is what the engine then has of it."""
    _compare_hits(engine, stage, lambda told, had: told == had)


def matches_with_a_window(engine: WholeEngine, stage: Stage) -> None:
    """The same, but that the engine may use less: a window that is gone from its cache is not the index's to know."""
    _compare_hits(engine, stage, lambda told, had: told >= had)


def _compare_hits(engine: WholeEngine, stage: Stage, agree: Callable[[int, int], bool]) -> None:
    follower = _following(engine, stage)
    hits = [_hit(engine, follower, *request) for request in engine.requests(40)]
    wrong = [f"{told} blocks told and {had} had" for told, had in hits if not agree(told, had)]
    if wrong:
        raise Unequal(f"of {len(hits)} requests {len(wrong)}: {', '.join(wrong[:SHOWN])}")
    happened(len({had for _, had in hits}) > SHOWN, "hits of several lengths")


def _hit(engine: WholeEngine, follower: Follower, prompt: list[int], salt: str | None) -> tuple[int, int]:
    """Blocks told, as far as the engine would use them, and blocks had; it computes the last token of a prompt in any case."""
    follower.comes_to(State.EXACT, engine.resident())
    pods = follower.index.match(prompt, cache_salt=salt).pods
    told = pods[0].blocks if pods else 0
    (had,) = engine.generate(prompt, salt=salt)
    return min(told, (len(prompt) - 1) // BLOCK_SIZE), had // BLOCK_SIZE


def snapshot(engine: WholeEngine, stage: Stage) -> None:
    saved = _following(engine, stage).leave()
    engine.crowded()
    follower = stage.follow(engine, saved=saved)
    follower.comes_to(State.EXACT, engine.resident())
    engine.varied()
    follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.restarts == 0, "a snapshot that the engine confirms")


def killed(engine: WholeEngine, stage: Stage) -> None:
    follower = _following(engine, stage)
    engine.crowded()
    engine.kill()
    engine.come_back()
    follower.comes_to(State.EXACT, {})
    engine.varied()
    follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.restarts > 0, "a restart")


def gap_lost_for_good(engine: WholeEngine, stage: Stage) -> None:
    """Both policies side by side, as an engine's start takes long."""
    drop, keep = (_following(engine, stage, policy=policy) for policy in (Policy.DROP, Policy.KEEP))
    with drop.cut_off(), keep.cut_off():
        engine.crowded()
    drop.comes_within(State.PARTIAL, engine.resident())
    keep.comes_into(State.DEGRADED)
    happened(engine.peer.ask("reset"), "a reset")
    engine.varied()
    for follower in (drop, keep):
        follower.comes_to(State.EXACT, engine.resident())


def _following(engine: WholeEngine, stage: Stage, **options: Any) -> Follower:
    """A follower that has everything, however short the engine's buffer, and hears what comes."""
    follower = stage.follow(engine, **options)
    follower.hears(lambda: engine.generate(engine.prompt(40)))
    engine.peer.ask("reset")
    engine.varied()
    follower.comes_to(State.EXACT, engine.resident())
    return follower


_EVERYTHING: Final = (
    Scenario("late start, replayed", late_start),
    Scenario("evictions", evictions),
    Scenario("reset", reset),
    Scenario("gap, replayed", gap),
    Scenario("gap over a reconnection, replayed", gap_over_a_reconnection),
    Scenario("lost tail, found by a probe", lost_tail),
    Scenario("snapshot, confirmed", snapshot),
    Scenario("matches", matches),
    Scenario("kill -9 and restart", killed),
)
SET_UPS: Final = (
    SetUp("one group", _EVERYTHING),
    SetUp(
        "hashes as bytes, short buffer",
        (Scenario("evictions", evictions), Scenario("gap lost for good, drop and keep", gap_lost_for_good)),
        {"buffer_steps": SHORT, "environment": {"VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES": "0"}},
    ),
    SetUp(
        "two groups, one of them a sliding window",
        (
            Scenario("late start, replayed", late_start),
            Scenario("evictions", evictions),
            Scenario("gap, replayed", gap),
            Scenario("matches", matches_with_a_window),
        ),
        {"hybrid": True},
    ),
)
