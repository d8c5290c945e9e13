"""What a scenario is played on: engines and followers that end with it, whatever happens."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from attrs import frozen

from interop.follower import Follower, Resident
from interop.ledger import Key
from interop.peer import Broken, Peer

PORTS: Final = range(20_000, 30_000)
"""Below those that connections are given, so that a port is still free when its engine comes back."""

_dice = random.SystemRandom()  # seeded by nobody, as test runs beside each other are, which would choose alike

TOLD: Final = {
    "live_batches": "live",
    "replayed_batches": "replayed",
    "gaps": "gaps",
    "missed_batches": "lost",
    "restarts": "restarts",
}


@frozen
class Scenario:
    """`play` raises `Unequal` where ours is not what the engine's is."""

    name: str
    play: Callable[[Any, Stage], None]
    options: Mapping[str, Any] = {}
    """How the engine is set up."""


class Engine:
    """A peer that has a cache and two sockets, at ports that it keeps over its lives."""

    def __init__(self, peer: Callable[[int, int], Peer]) -> None:
        self.port, self.replay_port = free_port(), free_port()
        self.peer = peer(self.port, self.replay_port)

    def resident(self, **arguments: Any) -> Resident:
        rows = self.peer.ask("resident", **arguments)
        return {_key(*row): copies for *row, copies in rows}

    def kill(self) -> None:
        self.peer.kill()

    def close(self) -> None:
        self.kill()

    def come_back(self) -> None:
        """After `kill`, with nothing in its cache."""
        self.peer.start()


class Stage:
    """Ends with the `with` block."""

    def __init__(self) -> None:
        self._ending = ExitStack()
        self._followers: list[Follower] = []

    def follow(self, engine: Engine, **options: Any) -> Follower:
        """Another follower of the engine; `options` are its own."""
        follower = Follower(engine.port, engine.replay_port, **options)
        self._followers.append(self._ending.enter_context(follower))
        return follower

    def told(self) -> str:
        """What the followers went through, in short."""
        all_stats = [follower.stats for follower in self._followers]
        return ", ".join(f"{sum(getattr(stats, name) for stats in all_stats):,} {words}" for name, words in TOLD.items())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._ending.close()


def happened(so: bool, what: str) -> None:
    """A scenario in which its point did not come up proves nothing."""
    if not so:
        raise Broken(f"what the scenario is about did not happen: {what}")


def free_port() -> int:
    while True:
        port = _dice.choice(PORTS)
        with socket.socket() as tried:
            try:
                tried.bind(("", port))
            except OSError:
                continue
            return port


def log_folder(home: Path) -> Path:
    folder = home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _key(medium: str, group: int | None, block_hash: Any) -> Key:
    return medium, group, bytes.fromhex(block_hash["hex"]) if isinstance(block_hash, dict) else block_hash
