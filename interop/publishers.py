"""What is played against an engine's own publisher; its process keeps the truth about what it published."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from attrs import evolve

from interop.follower import Follower, Resident
from interop.peer import Peer
from interop.stage import Engine, Scenario, Stage, happened, log_folder
from kato_transport_kv_events import Policy, State

READY_S: Final = 30.0
SHORT: Final = 8
"""Batches that a short buffer keeps."""
HASHES: Final = {"vllm": ("int", "bytes"), "sglang": ("signed",)}
"""The forms that an engine sends hashes in; the first is what it does by itself."""
SOON_S: Final = 0.5
"""Between probes, where a scenario waits for one."""


class Publisher(Engine):
    """`options` are the publisher's own, but for `hashes`, and for `connects`: to a subscriber that is bound."""

    def __init__(self, python: Path, path: Path, home: Path, *, hashes: str, connects: bool = False, **options: Any) -> None:
        def peer(port: int, replay_port: int) -> Peer:
            at = {"endpoint": f"tcp://{'127.0.0.1' if connects else '*'}:{port}", "replay_endpoint": f"tcp://*:{replay_port}"}
            config = {"path": str(path), "hashes": hashes, "publisher": {"topic": "kv-events", **at, **options}}
            log = log_folder(home) / f"{path.parent.name}.log"
            return Peer(python, "interop.peers.publisher", config, log, {}, READY_S)

        super().__init__(peer)
        self.batches = self.sent = 0

    def does(self, do: str, *amount: int) -> None:
        """`store`, `run`, `flood` or `clear`."""
        name = {"store": "blocks"}.get(do, "batches")
        said = self.peer.ask(do, **dict(zip([name], amount, strict=False)))
        self.batches, self.sent = said["batches"], said["bytes"]

    def since(self, batch: int) -> Resident:
        """What is resident of what was stored from a batch on."""
        return self.resident(without=(0, batch))

    def in_replays(self) -> int:
        """The first batch that a short buffer still has."""
        return max(0, self.batches - SHORT)


def late_start(engine: Publisher, stage: Stage) -> None:
    engine.does("run", 200)
    follower = stage.follow(engine)
    follower.comes_to(State.EXACT, engine.resident())
    follower.hears(lambda: engine.does("run", 3))
    engine.does("run", 100)
    follower.comes_to(State.EXACT, engine.resident())


def late_start_beyond_the_buffer(engine: Publisher, stage: Stage) -> None:
    engine.does("run", 60)
    follower = stage.follow(engine)
    follower.comes_to(State.PARTIAL, engine.since(engine.in_replays()))
    _healed_by_a_clear(engine, follower)


def late_start_without_replay(engine: Publisher, stage: Stage) -> None:
    engine.does("run", 60)
    follower = stage.follow(engine, replay=False)
    follower.hears(lambda: engine.does("run", 1))
    first = follower.stats.last_sequence + 1 - follower.stats.live_batches
    engine.does("run", 60)
    follower.comes_to(State.PARTIAL, engine.since(first))
    _healed_by_a_clear(engine, follower)


def gap(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage)

    def is_seen() -> bool:
        before = follower.stats.gap_batches
        with follower.deaf(lambda: engine.sent):
            engine.does("run", 50)
        engine.does("run", 1)
        follower.comes_to(State.EXACT, engine.resident())
        return follower.stats.gap_batches == before + 50

    # where the second look behind a new connection is still to come, it finds what was lost before a live number shows it
    happened(any(is_seen() for _ in range(3)), "a gap of 50 batches")


def gap_over_a_reconnection(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage)
    with follower.cut_off():
        engine.does("run", 50)
    follower.comes_to(State.EXACT, engine.resident())
    engine.does("run", 50)
    follower.comes_to(State.EXACT, engine.resident())


def stalled_subscriber(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage, probe_s=SOON_S)
    with follower.stalled():
        engine.does("flood", 1500)
    follower.comes_to(State.EXACT, engine.resident())
    engine.does("run", 1)
    follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.replayed_batches > follower.stats.replay_requests, "a loss")


def lost_tail(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage, probe_s=SOON_S)
    with follower.deaf(lambda: engine.sent):
        engine.does("run", 20)
    follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.gap_batches == 0, "a loss that no later batch showed")


def gap_lost_for_good(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage, policy=Policy.DROP)
    _lose(engine, follower)
    follower.comes_to(State.PARTIAL, engine.since(engine.in_replays()))
    _healed_by_a_clear(engine, follower)


def gap_lost_for_good_and_kept(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage, policy=Policy.KEEP)
    known = engine.batches
    _lose(engine, follower)
    follower.comes_to(State.DEGRADED, engine.resident(without=(known, engine.in_replays())))
    _healed_by_a_clear(engine, follower)


def gap_without_replay(engine: Publisher, stage: Stage) -> None:
    follower = stage.follow(engine, replay=False)
    follower.hears(lambda: engine.does("run", 1))
    _lose(engine, follower)
    follower.comes_to(State.PARTIAL, engine.since(engine.batches - 1))
    _healed_by_a_clear(engine, follower)


def restart(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage)
    engine.peer.ask("restart")
    engine.does("run", 3)
    follower.comes_to(State.EXACT, engine.resident())
    engine.does("run", 30)
    follower.comes_to(State.EXACT, engine.resident())


def restart_with_no_batch(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage)
    engine.peer.ask("restart")
    follower.comes_to(State.EXACT, {})
    engine.does("run", 30)
    follower.comes_to(State.EXACT, engine.resident())


def restart_that_has_passed_the_last_number(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage)
    known = engine.batches
    with follower.cut_off():
        engine.peer.ask("restart")
        engine.does("run", known + 1)
    engine.does("run", 1)
    follower.comes_to(State.EXACT, engine.resident())


def killed(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage)
    for batches in (1, 60, 130):  # none of which the life before went through meanwhile, as 40 more of it are on their way
        engine.does("run", 40)
        engine.kill()
        engine.come_back()
        engine.does("run", batches)
        follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.restarts == 3, "three restarts")


def cleared(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage)
    engine.does("clear")
    follower.comes_to(State.EXACT, engine.resident())
    engine.does("run", 30)
    follower.comes_to(State.EXACT, engine.resident())


def snapshot(engine: Publisher, stage: Stage) -> None:
    saved = _following(engine, stage).leave()
    known = engine.batches
    engine.does("run", 50)
    follower = stage.follow(engine, saved=saved)
    follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.replayed_batches < known + 50, "a replay of only what is new")


def snapshot_of_an_earlier_life(engine: Publisher, stage: Stage) -> None:
    saved = _following(engine, stage).leave()
    known = engine.batches
    engine.peer.ask("restart")
    engine.does("run", known + 5)
    follower = stage.follow(engine, saved=saved)
    follower.comes_to(State.EXACT, engine.resident())
    happened(follower.stats.restarts == 1, "a restart")


def snapshot_beyond_the_buffer(engine: Publisher, stage: Stage) -> None:
    saved = _following(engine, stage).leave()
    engine.does("run", 5 * SHORT)
    follower = stage.follow(engine, saved=saved)
    follower.comes_to(State.PARTIAL, engine.since(engine.in_replays()))
    _healed_by_a_clear(engine, follower)


def hung(engine: Publisher, stage: Stage) -> None:
    follower = _following(engine, stage, probe_s=SOON_S)
    engine.peer.pause()
    follower.comes_into(State.STALE)
    engine.peer.go_on()
    follower.comes_to(State.EXACT, engine.resident())
    engine.does("run", 10)
    follower.comes_to(State.EXACT, engine.resident())


def bound_subscriber(engine: Publisher, stage: Stage) -> None:
    follower = stage.follow(engine, endpoint=f"tcp://127.0.0.1:{engine.port}", bind=True)
    follower.hears(lambda: engine.does("run", 5))
    engine.does("run", 30)
    follower.comes_to(State.EXACT, engine.resident())


def _following(engine: Publisher, stage: Stage, **options: Any) -> Follower:
    """A follower that has everything, and hears what comes."""
    engine.does("run", SHORT // 2)
    follower = stage.follow(engine, **options)
    follower.comes_to(State.EXACT, engine.resident())
    follower.hears(lambda: engine.does("run", 1))
    follower.comes_to(State.EXACT, engine.resident())
    return follower


def _lose(engine: Publisher, follower: Follower) -> None:
    """More batches than a short buffer has, seen by the one behind them."""
    with follower.deaf(lambda: engine.sent):
        engine.does("run", 5 * SHORT)
    engine.does("run", 1)


def _healed_by_a_clear(engine: Publisher, follower: Follower) -> None:
    engine.does("clear")
    engine.does("run", 3)
    follower.comes_to(State.EXACT, engine.resident())


def scenarios(engine: str) -> list[Scenario]:
    """All that suit an engine, with hashes in the form that it sends by itself, and some in each other form."""
    usual, *others = HASHES[engine]
    return [
        *(evolve(scenario, options={"hashes": usual, **scenario.options}) for scenario in _ALL),
        *(
            Scenario(f"hashes as {other}: {scenario.name}", scenario.play, {"hashes": other, **scenario.options})
            for other in others
            for scenario in _ALL
            if scenario.play in (late_start, gap, restart)
        ),
    ]


_SHORT: Final = {"buffer_steps": SHORT}
_ALL: Final = (
    Scenario("late start, replayed", late_start),
    Scenario("late start beyond a short buffer", late_start_beyond_the_buffer, _SHORT),
    Scenario("late start without replay", late_start_without_replay),
    Scenario("gap, replayed", gap),
    Scenario("gap over a reconnection, replayed", gap_over_a_reconnection),
    Scenario("stalled subscriber, small high-water mark", stalled_subscriber, {"hwm": 5}),
    Scenario("lost tail, found by a probe", lost_tail),
    Scenario("gap lost for good, drop", gap_lost_for_good, _SHORT),
    Scenario("gap lost for good, keep", gap_lost_for_good_and_kept, _SHORT),
    Scenario("gap without replay", gap_without_replay),
    Scenario("restart", restart),
    Scenario("restart with no batch", restart_with_no_batch),
    Scenario("restart that has passed the last number", restart_that_has_passed_the_last_number),
    Scenario("kill -9, three times", killed),
    Scenario("clear", cleared),
    Scenario("snapshot, confirmed", snapshot),
    Scenario("snapshot of an earlier life", snapshot_of_an_earlier_life),
    Scenario("snapshot beyond a short buffer", snapshot_beyond_the_buffer, _SHORT),
    Scenario("hung, then awake", hung),
    Scenario("subscriber that is bound", bound_subscriber, {"connects": True}),
)
