"""One source at work: what its sockets bring goes to the state machine, and what that decides to the handlers."""

from __future__ import annotations

import logging
import math
import time
from typing import Any, Protocol

from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored, EventsLost, Origin, from_fields
from kato_transport_kv_events.stream import (
    Action,
    Apply,
    Ask,
    Begin,
    Checkpoint,
    Flaw,
    Forget,
    Lost,
    Note,
    Quit,
    SourceStream,
    State,
    StreamSettings,
)
from kato_transport_kv_events.subscription.audience import Audience
from kato_transport_kv_events.subscription.handlers import Subject
from kato_transport_kv_events.subscription.loop import Loop
from kato_transport_kv_events.subscription.source import Source
from kato_transport_kv_events.subscription.stats import SourceStats, Tally
from kato_transport_kv_events.wire import Batch, DecodedEvent, SkipReason, UndecodableBatch, decode_batch

FLAWS: dict[Any, Flaw] = {BlockStored: Flaw.STORED, BlockRemoved: Flaw.REMOVED, AllBlocksCleared: Flaw.REMOVED}
"""What the loss of an event of a kind costs; of one that is nothing like an event, as much as that of its batch."""

log = logging.getLogger("kato_transport.kv_events")


class LiveSocket(Protocol):
    endpoint: str
    """As bound, where it is."""

    def serve(self, feed: Feed) -> None:
        """Tell the feed of connections and batches; `InvalidSetting` where that cannot be."""

    def release(self, feed: Feed) -> None:
        """Tell it no more."""

    def catch_up(self, now: float) -> None:
        """Tell of everything that is there to be read."""


class Rounds(Protocol):
    def ask(self, feed: Feed, start: int) -> None:
        """Ask the replay endpoint, and tell the feed when it is done."""

    def quit(self, feed: Feed) -> None:
        """Wait for no answer any more."""


class Feed:
    """A source of one rank; everything happens on the loop's thread but what reads counts."""

    def __init__(
        self,
        source: Source,
        settings: StreamSettings,
        loop: Loop,
        rounds: Rounds,
        audience: Audience,
        restored: Checkpoint | None,
    ) -> None:
        self.source = source
        self.tally = Tally()
        self.heard_at = -math.inf
        """When a live batch came."""
        self.socket: LiveSocket | None = None
        self._subject = Subject(source, self.tally)
        self._stream = SourceStream(settings, has_replay=bool(source.replay_endpoint), restored=restored)
        self._loop = loop
        self._rounds = rounds
        self._audience = audience
        self._state = self._stream.state
        self._wakes_at = math.inf
        self._asked_at = 0.0
        self._topic = source.topic
        self._topic_bytes = source.topic.encode()
        self._closed = False

    @property
    def state(self) -> State:
        return self._state

    def begin(self, now: float) -> None:
        """The source has been added; one that waits to be connected to asks for a replay at once."""
        self._audience.changed(self._subject, self._state)
        if self.source.bind:
            self._stream.awaits_connection(now)
            self._act(now)

    def close(self) -> None:
        self._closed = True
        self._rounds.quit(self)
        self._audience.removed(self._subject)

    def checkpoint(self) -> Checkpoint | None:
        return self._stream.checkpoint()

    def flawed(self, flaw: Flaw) -> None:
        """A handler lost something of what it was told."""
        self._stream.flawed(flaw)
        self._notice_state()

    def error(self, category: str, text: str) -> None:
        count = self.tally.errors[category] = self.tally.errors[category] + 1
        if not count & (count - 1):  # the first, second, fourth, …
            log.warning("%s rank %d: %s, %d so far", self.source.pod, self.source.rank, text, count)

    # --- what the sockets bring ---------------------------------------------------------------------------------

    def live(self, now: float, topic: bytes, sequence: int, payload: bytes) -> None:
        self.heard_at = now
        self.tally.live_batches += 1
        if topic != self._topic_bytes:
            self._topic_bytes = topic
            self._topic = topic.decode(errors="replace")
        if self._stream.accepts(now, sequence, payload):
            self._apply(sequence, payload)
        else:
            self._stream.live(now, sequence, payload)
            self._act(now)

    def connected(self, now: float) -> None:
        self.tally.connections += 1
        self._stream.connected(now)
        self._act(now)

    def disconnected(self, now: float) -> None:
        self.tally.disconnections += 1
        log.info("%s rank %d: the connection is lost", self.source.pod, self.source.rank)
        self._stream.disconnected(now)
        if self.source.bind:  # the engine may be back already, and nothing but its next batch would tell
            self._stream.awaits_connection(now)
        self._act(now)

    def asked(self, now: float) -> None:
        self._asked_at = now
        self._stream.asked(now)
        self._act(now)

    def replayed(self, now: float, sequence: int, payload: bytes) -> None:
        self.tally.replayed_batches += 1
        self._stream.replayed(now, sequence, payload)
        self._act(now)

    def replay_ended(self, now: float) -> None:
        self.tally.replays.add(now - self._asked_at)
        self._stream.replay_ended(now)
        self._act(now)

    def replay_failed(self, now: float) -> None:
        self._stream.replay_failed(now)
        self._act(now)

    def catch_up(self, now: float) -> None:
        """Have the live socket tell of everything that is there to be read."""
        if self.socket is not None:
            self.socket.catch_up(now)

    # --- what the state machine decides -------------------------------------------------------------------------

    def _act(self, now: float) -> None:
        for action in self._stream.actions():
            self._do(action)
        self._notice_state()
        due = self._stream.due
        if due < self._wakes_at:
            self._wakes_at = due
            self._loop.at(due, self._on_time)

    def _on_time(self, now: float) -> None:
        if self._closed or now < self._wakes_at:
            return
        self._wakes_at = math.inf
        self._stream.tick(now)
        self._act(now)

    def _do(self, action: Action) -> None:
        pod, rank = self.source.pod, self.source.rank
        match action:
            case Apply(sequence, payload):
                self._apply(sequence, payload)
            case Forget(reason, last):
                log.warning("%s rank %d: what it held is given up: %s", pod, rank, reason)
                self._audience.forget(self._subject, self._origin(last))
            case Lost(first, int(last), _):
                log.warning("%s rank %d: batches %d to %d are lost", pod, rank, first, last)
                self._audience.events(self._subject, (EventsLost(origin=self._origin(last), first=first, last=last),))
            case Lost(first, None, _):
                log.warning("%s rank %d: batches from %d on may be lost", pod, rank, first)
            case Begin(sequence):
                log.info("%s rank %d: followed from batch %d on", pod, rank, sequence)
            case Note(text):
                log.warning("%s rank %d: %s", pod, rank, text)
            case Ask(start):
                self._rounds.ask(self, start)
            case Quit():
                self._rounds.quit(self)

    def _notice_state(self) -> None:
        state = self._stream.state
        if state is not self._state:
            log.info("%s rank %d: %s, was %s", self.source.pod, self.source.rank, state, self._state)
            self._state = state
            self._audience.changed(self._subject, state)

    # --- batches ------------------------------------------------------------------------------------------------

    def _apply(self, sequence: int, payload: bytes) -> None:
        """Decode a batch, hand on its events, and report what was wrong with it."""
        began = time.perf_counter()
        source, tally = self.source, self.tally
        try:
            batch = decode_batch(
                payload, pod=source.pod, sequence=sequence, model=source.model, topic=self._topic, rank=source.rank
            )
        except UndecodableBatch as exc:
            self.error("decode", f"batch {sequence}: {exc}")
            self.flawed(Flaw.BATCH)
            return
        events = batch.events
        if batch.rank is not None and batch.rank != source.rank:
            events = self._as_configured(sequence, batch)
        cleared_at = -1
        for position, event in enumerate(events):
            kind = type(event)
            tally.processed[kind.__name__] += 1
            if kind is AllBlocksCleared:
                cleared_at = position
        if cleared_at >= 0:  # makes up for what was wrong before it, not for what a handler finds wrong with the rest
            self._audience.events(self._subject, events[: cleared_at + 1])
            self._stream.cleared()
            events = events[cleared_at + 1 :]
        self._audience.events(self._subject, events)
        if cleared_at >= 0 or batch.skipped:
            self._judge_skipped(batch, cleared_at)
        tally.lag_s = time.time() - batch.timestamp_s
        tally.processing.add(time.perf_counter() - began)

    def _judge_skipped(self, batch: Batch, cleared_at: int) -> None:
        for skipped in batch.skipped:
            self.tally.skipped[skipped.reason] += skipped.count
            if skipped.kind is not None:
                self.tally.malformed[skipped.kind.__name__] += skipped.count
            if skipped.reason is SkipReason.MALFORMED and skipped.position > cleared_at:
                self._stream.flawed(FLAWS.get(skipped.kind, Flaw.BATCH))
        self._notice_state()

    def _as_configured(self, sequence: int, batch: Batch) -> tuple[DecodedEvent, ...]:
        """Events of the rank that the source was given, whatever the engine says: by this its blocks are known."""
        self.error("rank", f"batch {sequence} says that it is of rank {batch.rank}")
        origin = self._origin(sequence, batch.timestamp_s)
        return tuple([_with_origin(event, origin) for event in batch.events])

    def _origin(self, sequence: int, timestamp_s: float | None = None) -> Origin:
        source = self.source
        return Origin(
            pod=source.pod,
            sequence=sequence,
            timestamp_s=time.time() if timestamp_s is None else timestamp_s,
            rank=source.rank,
            model=source.model,
            topic=self._topic,
        )

    # --- for whoever asks ---------------------------------------------------------------------------------------

    def stats(self) -> SourceStats:
        source, tally, stream = self.source, self.tally, self._stream
        counts = stream.counts
        return SourceStats(
            pod=source.pod,
            rank=source.rank,
            model=source.model,
            endpoint=source.endpoint if self.socket is None else self.socket.endpoint,
            state=self._state,
            generation=counts.forgotten,
            is_connected=stream.is_connected,
            connections=tally.connections,
            disconnections=tally.disconnections,
            reconnect_attempts=tally.reconnect_attempts,
            last_sequence=stream.last,
            live_batches=tally.live_batches,
            replayed_batches=tally.replayed_batches,
            events_received={kind: count + tally.malformed[kind] for kind, count in tally.processed.items()},
            events_processed=dict(tally.processed),
            events_skipped=dict(tally.skipped),
            processing_buckets=tuple(tally.processing.counts),
            processing_seconds=tally.processing.seconds,
            missed_batches=counts.lost,
            gaps=counts.gaps,
            gap_batches=counts.gap_batches,
            restarts=counts.restarts,
            overlaps=counts.overlaps,
            duplicates=counts.duplicates,
            falls=counts.falls,
            discarded=tally.discarded,
            replay_requests=counts.requests,
            replay_successes=counts.answers,
            replay_failures=counts.unanswered,
            replay_buckets=tuple(tally.replays.counts),
            replay_seconds=tally.replays.seconds,
            held=stream.held,
            held_overflows=counts.overflows,
            lag_s=tally.lag_s,
            errors=dict(tally.errors),
        )


def _with_origin(event: DecodedEvent, origin: Origin) -> DecodedEvent:
    if isinstance(event, AllBlocksCleared):
        return AllBlocksCleared(origin=origin)
    fields = {**vars(event), "origin": origin}
    return from_fields(BlockStored, fields) if isinstance(event, BlockStored) else from_fields(BlockRemoved, fields)
