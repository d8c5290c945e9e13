"""Our side: a manager that follows one engine through a proxy, and what its handlers make of the events.

Two keep what is resident, the block index and a plain count, and both have to agree with the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

from attrs import frozen

from interop.ledger import Key, Ledger
from kato_transport.testing import FaultProxy
from kato_transport.testing.waiting import comes_true
from kato_transport_kv_events import (
    BlockIndex,
    Checkpoint,
    KVEventManager,
    Snapshot,
    Source,
    SourceStats,
    State,
    StreamSettings,
)

POD: Final = "engine"
PATIENCE_S: Final = 20.0
"""What anything may take to become as it should."""
SELDOM_S: Final = 3600.0
"""Between probes, where a scenario is about what is found without them."""
SHOWN: Final = 3
Resident = Mapping[Key, int]


class Unequal(Exception):
    """Ours is not what the engine's is."""


@frozen
class Saved:
    """What a follower leaves to another."""

    snapshot: bytes
    ledger: Ledger


class Follower:
    """Follows from its making on, or from where another left off; `options` are the source's."""

    def __init__(
        self,
        port: int,
        replay_port: int,
        *,
        replay: bool = True,
        probe_s: float = SELDOM_S,
        saved: Saved | None = None,
        **options: Any,
    ) -> None:
        self._at_the_end: SourceStats | None = None
        self._proxy = FaultProxy("127.0.0.1", port)
        endpoint = f"tcp://127.0.0.1:{self._proxy.port}"
        self._ledger, self.index = saved.ledger if saved else Ledger(), BlockIndex()
        self._kept: dict[str, Ledger | BlockIndex] = {"ledger": self._ledger, "index": self.index}
        checkpoints = self._restored(saved.snapshot) if saved else {}
        settings = StreamSettings(probe_interval_s=probe_s, answer_timeout_s=2.0, grace_s=60.0)
        self._manager = KVEventManager(self._kept.values(), settings=settings)
        replay_endpoint = f"tcp://127.0.0.1:{replay_port}" if replay else ""
        source = Source(pod=POD, **{"endpoint": endpoint, "replay_endpoint": replay_endpoint, **options})
        self._manager.add_source(source, checkpoints)

    @property
    def stats(self) -> SourceStats:
        """As they were at the end, where it has come."""
        return self._at_the_end or self._manager.stats()[0]

    def comes_to(self, state: State, resident: Resident) -> None:
        """Wait until the source is in a state, with just these blocks."""
        self._wait(state, resident, lambda kept: kept == resident)

    def comes_within(self, state: State, resident: Resident) -> None:
        """Wait until the source is in a state, with some of these blocks and no others."""
        self._wait(state, resident, lambda kept: all(copies <= resident.get(key, 0) for key, copies in kept.items()))

    def comes_into(self, state: State) -> None:
        if not comes_true(lambda: self._look()[0] is state, PATIENCE_S):
            raise Unequal(f"it does not become {state}; it is {self._look()[0]}")

    def hears(self, publish: Callable[[], Any]) -> None:
        """Have batches published until one comes live, and until the looks behind a new connection are over."""

        def heard() -> bool:
            publish()
            return comes_true(lambda: self.stats.live_batches > 0, 0.2)

        if not comes_true(heard, PATIENCE_S):
            raise Unequal("no batch comes live")
        looks = 2 if self.stats.replay_requests else 0
        if not comes_true(lambda: self.stats.replay_successes >= looks and self.stats.state is not State.SYNCING, PATIENCE_S):
            raise Unequal("the replay endpoint does not answer")

    @contextmanager
    def deaf(self, sent: Callable[[], int]) -> Iterator[None]:
        """What is published meanwhile vanishes on its way, with the connection alive; `sent` says how many bytes it was."""
        seen, before = self._proxy.down.seen, sent()
        self._proxy.down.drop()
        yield
        if not comes_true(lambda: self._proxy.down.seen - seen >= sent() - before, PATIENCE_S):
            raise Unequal("the proxy does not see what is published")
        self._proxy.down.flow()

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """What is published meanwhile vanishes on its way, and the connection breaks."""
        self._proxy.down.drop()
        yield
        self._proxy.down.flow()
        self._proxy.cut()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing is read meanwhile, so that the engine has to drop what it cannot keep."""
        self._proxy.down.stall()
        yield
        self._proxy.down.flow()

    def leave(self) -> Saved:
        """Follow no more."""
        saved = Saved(self.index.snapshot(self._manager).to_bytes(), self._ledger)
        self.close()
        return saved

    def close(self) -> None:
        """Idempotent."""
        self._at_the_end = self.stats
        self._manager.close()
        self._proxy.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _restored(self, data: bytes) -> Mapping[int, Checkpoint]:
        snapshot = Snapshot.from_bytes(data)
        self.index.restore(snapshot)
        return snapshot.of_pod(POD)

    def _wait(self, state: State, resident: Resident, accepted: Callable[[Resident], bool]) -> None:
        def is_so() -> bool:
            now, kept = self._look()
            return now is state and all(map(accepted, kept.values()))

        if not comes_true(is_so, PATIENCE_S):
            raise Unequal(self._differences(state, resident))

    def _look(self) -> tuple[State | None, Mapping[str, Resident]]:
        """All at one moment, between two batches."""
        return self._manager.at_rest(
            lambda _: (self._manager.state(POD), {name: keeper.resident(POD) for name, keeper in self._kept.items()})
        )

    def _differences(self, state: State, resident: Resident) -> str:
        now, kept = self._look()
        told = [_difference(name, blocks, resident) for name, blocks in kept.items()]
        return f"expected {state} with {_amount(resident)}; it is {now} with {'; '.join(told)}"


def _difference(name: str, blocks: Resident, resident: Resident) -> str:
    missing = [key for key, copies in resident.items() if blocks.get(key, 0) < copies]
    many = [key for key, copies in blocks.items() if resident.get(key, 0) < copies]
    return f"{_amount(blocks)} by the {name}, missing {_some(missing)}, too many {_some(many)}"


def _amount(blocks: Resident) -> str:
    return f"{sum(blocks.values())} copies of {len(blocks)} blocks"


def _some(keys: list[Key]) -> str:
    shown = ", ".join(f"{medium}/{group}/{block_hash!r}" for medium, group, block_hash in keys[:SHOWN])
    return f"{len(keys)} ({shown}{', …' if len(keys) > SHOWN else ''})" if keys else "none"
