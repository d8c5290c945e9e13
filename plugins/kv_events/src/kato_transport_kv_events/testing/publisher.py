"""A publisher that says what an engine would say, for tests of whatever listens to engines."""

from __future__ import annotations

import threading
import time
from itertools import zip_longest
from types import TracebackType
from typing import Final, Self

import zmq

from kato_transport.errors import ClientClosed
from kato_transport.zeromq import bound_endpoint, knock, open_back_door
from kato_transport_kv_events.testing.dialects import find_dialect
from kato_transport_kv_events.testing.encode import encode_batch
from kato_transport_kv_events.testing.log import Faults, Log
from kato_transport_kv_events.testing.rank import Rank
from kato_transport_kv_events.testing.sockets import Sock, bind_ranks, close_bound, connect_ranks
from kato_transport_kv_events.wire import DecodedEvent

ANY_PORT: Final = "tcp://127.0.0.1:0"
TICK_MS: Final = 1_000
"""How often the thread looks whether it is to end: without descriptors it cannot be woken."""

POLL_S: Final = 0.002


class EventPublisher:
    """An engine's event sockets, with nothing behind them.

        with EventPublisher("vllm-0.33.0") as engine:
            subscribe(engine.endpoint, engine.replay_endpoint)
            engine.wait_for_subscribers()
            engine.publish(stored(11, 12, token_ids=range(32), block_size=16))

    It speaks as that version does: encoding and fields of the events, frames of live batches and of replays, numbers from
    0 on, a buffer for replays, one port after the other for data-parallel ranks. It listens on 127.0.0.1 and any free port
    unless told otherwise; with `connects` it connects instead, as engines do whose endpoint names a host. `publish` may
    be called from any thread; replays are answered on a thread of its own, and live batches wait meanwhile.

    Raises `InvalidSetting` for an unknown dialect or a malformed endpoint, `BindFailed` for one that is taken.
    """

    def __init__(
        self,
        dialect: str = "vllm-0.33.0",
        *,
        ranks: int = 1,
        topic: str = "",
        endpoint: str = ANY_PORT,
        replay_endpoint: str | None = ANY_PORT,
        connects: bool = False,
        buffer_steps: int = 10_000,
        high_water_mark: int = 100_000,
    ) -> None:
        self.faults = Faults()
        """What is wrong with replays from now on; may be changed at any time."""
        self.endpoints: tuple[str, ...] = (endpoint,)
        """Of every rank, to subscribe to."""
        self.replay_endpoints: tuple[str, ...] = () if replay_endpoint is None else (replay_endpoint,)
        """Of every rank, to ask for replays; none where there is no replay socket."""
        self._dialect = find_dialect(dialect)
        self._topic = topic.encode()
        self._count = ranks
        self._connects = connects
        self._buffer_steps = buffer_steps
        self._high_water_mark = high_water_mark
        self._lock = threading.Lock()
        self._ranks: list[Rank] = []
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._back_door = ""
        self.start()

    @property
    def endpoint(self) -> str:
        """Of the first rank, to subscribe to."""
        return self.endpoints[0]

    @property
    def replay_endpoint(self) -> str | None:
        """Of the first rank, to ask for replays."""
        return self.replay_endpoints[0] if self.replay_endpoints else None

    def publish(self, *events: DecodedEvent, rank: int = 0, timestamp_s: float | None = None) -> int:
        """Send events as one batch; gives its number. Their origin is not looked at."""
        return self.publish_payload(self._encoded(events, rank, timestamp_s), rank=rank)

    def publish_payload(self, payload: bytes, *, rank: int = 0) -> int:
        """Send anything at all as a batch; gives its number."""
        with self._lock:
            return self._running()[rank].publish(payload)

    def skip(self, *events: DecodedEvent, rank: int = 0, timestamp_s: float | None = None) -> int:
        """Lose a batch on the way to all subscribers: a gap, or a lost tail if nothing comes after. Replays have it."""
        payload = self._encoded(events, rank, timestamp_s)
        with self._lock:
            return self._running()[rank].skip(payload)

    def wait_for_subscribers(self, count: int = 1, *, rank: int = 0, timeout_s: float = 10.0) -> None:
        """Wait until a rank has so many subscriptions: what is published before is published to nobody.

        A subscriber that is not reading subscribes to nothing: its socket works while it is used. Raises `TimeoutError`.
        """
        deadline = time.monotonic() + timeout_s
        while (found := self.subscriptions(rank)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{found} of {count} subscriptions at {self.endpoints[rank]} within {timeout_s:g} s")
            time.sleep(POLL_S)

    def subscriptions(self, rank: int = 0) -> int:
        """How many subscriptions a rank has, as far as its socket has heard."""
        with self._lock:
            return self._running()[rank].subscriptions()

    def restart(self) -> None:
        """End, and begin again on the same endpoints: numbers from 0, and nothing to replay."""
        self.stop()
        self.start()

    def start(self) -> None:
        """Begin a life; nothing to do where one is under way."""
        if self._ranks:
            return
        replay = self._opened_replay()
        try:
            live = self._opened_live()
        except BaseException:
            close_bound(replay)
            raise
        self.endpoints = tuple(map(bound_endpoint, live))
        self.replay_endpoints = tuple(map(bound_endpoint, replay))
        self._ranks = [
            Rank(sock, again, Log(self._buffer_steps), self._topic, self._dialect.replay_has_topic)
            for sock, again in zip_longest(live, replay)
        ]
        if replay:
            self._back_door = open_back_door(replay[0])
            self._ending.clear()
            self._thread = threading.Thread(target=self._answer, args=(self._ranks,), name="kato-kv-publisher", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End a life: the sockets are gone when this returns, and their ports free."""
        if self._thread is not None:
            self._ending.set()
            knock(zmq.DEALER, self._back_door)
            self._thread.join()
            self._thread = None
        with self._lock:
            ranks, self._ranks = self._ranks, []
        for rank in ranks:
            rank.close(live_is_bound=not self._connects)

    close = stop

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _opened_live(self) -> list[Sock]:
        open_ranks = connect_ranks if self._connects else bind_ranks
        return open_ranks(zmq.XPUB, self.endpoints[0], self._count, sndhwm=self._high_water_mark, xpub_verboser=1)

    def _opened_replay(self) -> list[Sock]:
        if not self.replay_endpoints:
            return []
        return bind_ranks(zmq.ROUTER, self.replay_endpoints[0], self._count, sndhwm=self._dialect.replay_high_water_mark)

    def _answer(self, ranks: list[Rank]) -> None:
        poller = zmq.Poller()
        asked = {rank.replay: rank for rank in ranks}
        for sock in asked:
            poller.register(sock, zmq.POLLIN)
        while not self._ending.is_set():
            for sock, _ in poller.poll(TICK_MS):
                with self._lock:
                    asked[sock].answer(self.faults)

    def _encoded(self, events: tuple[DecodedEvent, ...], rank: int, timestamp_s: float | None) -> bytes:
        return encode_batch(events, self._dialect, time.time() if timestamp_s is None else timestamp_s, rank)

    def _running(self) -> list[Rank]:
        if not self._ranks:
            raise ClientClosed("the publisher is stopped; start it first")
        return self._ranks
