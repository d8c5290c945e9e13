"""`BlockIndex`: which pods hold which blocks, kept from events, and asked with a request's tokens or hashes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, Literal

from kato_transport import DecodeError, InvalidSetting, inline
from kato_transport.events import AllBlocksCleared, BlockHash, BlockRemoved, BlockStored, ExtraKey, KVEvent, TokenId
from kato_transport_kv_events.index.contents import Contents
from kato_transport_kv_events.index.filing import Filing
from kato_transport_kv_events.index.keys import Shape
from kato_transport_kv_events.index.marks import Marks
from kato_transport_kv_events.index.match import Match
from kato_transport_kv_events.index.patrol import Patrol
from kato_transport_kv_events.index.reach import Reach, by_hashes, by_keys
from kato_transport_kv_events.index.request import Request
from kato_transport_kv_events.index.rows import restore, rows_of
from kato_transport_kv_events.index.snapshot import Snapshot
from kato_transport_kv_events.index.sources import Holders, IndexedSource
from kato_transport_kv_events.index.stats import IndexStats, MatchTally, estimated_bytes
from kato_transport_kv_events.stream.trust import Flaw, State

if TYPE_CHECKING:
    from kato_transport_kv_events.stream import Checkpoint
    from kato_transport_kv_events.subscription import KVEventManager

MAX_BLOCKS: Final = 8_000_000
MAX_SOURCE_BLOCKS: Final = 4_000_000

TellFlaw = Callable[[str, int, Flaw], None]


class BlockIndex:
    """A handler of events that knows which blocks every source has; safe to be shared by threads.

    `counting` says what a block is that is stored again: with `copies`, another physical copy, which is removed by itself;
    with `set`, the same one told of again, as vLLM does with `kv_cache_report_mode="full"`. At most `max_blocks` hashes of
    blocks are kept, about 120 bytes each, and those given up that were stored and matched longest ago; a source that has
    more than `max_source_blocks` is forgotten, and begins anew. Either makes sources `partial`.

    Without `keys`, only `match_hashes` answers: events' tokens are never looked at, which is most of what storing costs.
    """

    def __init__(
        self,
        *,
        counting: Literal["copies", "set"] = "copies",
        keys: bool = True,
        max_blocks: int = MAX_BLOCKS,
        max_source_blocks: int = MAX_SOURCE_BLOCKS,
    ) -> None:
        if counting not in ("copies", "set"):
            raise InvalidSetting(f"counting {counting!r}; expected one of: copies, set")
        if max_blocks < 1 or max_source_blocks < 1:
            raise InvalidSetting(f"max_blocks {max_blocks}, max_source_blocks {max_source_blocks}; expected at least 1")
        self._lock = threading.Lock()
        self._counted = counting == "copies"
        self._keyed = keys
        self._max_blocks = max_blocks
        self._max_source_blocks = max_source_blocks
        self._begin()
        self._matches = MatchTally()
        self._events = 0
        self._flaws: list[tuple[IndexedSource, Flaw]] = []
        self._tell: TellFlaw | None = None

    # --- told by a manager --------------------------------------------------------------------------------------

    @inline
    def handle_event(self, event: KVEvent) -> None:
        """Take an event in. Gaps need nothing here: what they cost is in the source's state."""
        with self._lock:
            self._events += 1
            origin = event.origin
            source = self._holders.sources.get((origin.pod, origin.rank)) or self._holders.source(origin.pod, origin.rank)
            kind = type(event)
            if kind is BlockStored:
                self._store(source, event)  # type: ignore[arg-type]
            elif kind is BlockRemoved:
                self._filing.removed_blocks(source, event)  # type: ignore[arg-type]
            elif kind is AllBlocksCleared:
                self._holders.forget(source)
            if self._holders.dead or self._contents.names > self._max_blocks:
                self._patrol.walk()
        if self._flaws:
            self._report()

    def forget(self, pod: str, rank: int) -> None:
        """What a source held is gone: a new generation begins."""
        with self._lock:
            source = self._holders.source(pod, rank)
            source.generation += 1
            self._holders.forget(source)

    def source_changed(self, pod: str, rank: int, model: str, state: State) -> None:
        """A source is in another state, or new."""
        with self._lock:
            self._holders.source(pod, rank).state = state

    def source_removed(self, pod: str, rank: int) -> None:
        """A source is not followed any more: nothing of it is kept."""
        with self._lock:
            source = self._holders.sources.pop((pod, rank), None)
            if source is not None:
                self._holders.forget(source)

    def report_flaws_to(self, tell: TellFlaw) -> None:
        """Have this called with pod, rank and `Flaw` where the index has lost something of a source's."""
        self._tell = tell

    # --- asked --------------------------------------------------------------------------------------------------

    def match(
        self,
        token_ids: Iterable[TokenId] | Request,
        *,
        model: str | None = None,
        lora_name: str | int | None = None,
        cache_salt: str | None = None,
        extra_keys: Sequence[tuple[ExtraKey, ...] | None] | None = None,
    ) -> Match:
        """Who has how many leading blocks of a request, of which only whole blocks count.

        `lora_name` is the adapter's name, or its id where engines are too old to say the name; `extra_keys` are an entry for
        each block, as engines have them, without adapter and salt. A `Request` already says all of this.
        `InvalidSetting` where `token_ids` are none, and where the index has no `keys`.
        """
        if not self._keyed:
            raise InvalidSetting("this index keeps engines' hashes alone (keys=False): ask it with match_hashes")
        began = perf_counter_ns()
        if isinstance(token_ids, Request):
            request = token_ids
        else:
            request = Request(token_ids, model=model, lora_name=lora_name, cache_salt=cache_salt, extra_keys=extra_keys)
        with self._lock:
            reaches = []
            for shape in self._contents.shapes.get((request.model, request.lora), ()):
                wanted = request.cut(shape)
                reach = Reach(shape, wanted.blocks, self._holders)
                by_keys(self._contents.first, wanted, reach)
                reaches.append(reach)
            return self._matched(began, reaches)

    def match_hashes(
        self,
        hashes: Iterable[BlockHash],
        *,
        model: str | None = None,
        lora_name: str | int | None = None,
    ) -> Match:
        """Who has how many leading blocks of a request, given as the engine's hashes of its blocks from the first one on.

        What else keeps prefixes apart is in engines' hashes, but for the adapter with some. `InvalidSetting` where `hashes`
        are none.
        """
        began = perf_counter_ns()
        try:
            wanted = tuple(hashes)
            with self._lock:
                return self._matched(began, self._reached_by(wanted, model or "", lora_name or None))
        except TypeError as exc:
            raise InvalidSetting(f"hashes are no block hashes: {exc}; expected integers or bytes") from exc

    def resident(self, pod: str, rank: int = 0) -> dict[tuple[str, int | None, BlockHash], int]:
        """All that a source has: copies by medium, group and hash. Looks through everything: for tests and for people."""
        with self._lock:
            source = self._holders.sources.get((pod, rank))
            holders = source.holders.values() if source is not None else ()
            return {
                (holder.medium, holder.group, name): copies
                for holder in holders
                for segment in self._contents.segments
                for name, copies in segment.copies_of(holder.bit)
            }

    # --- kept ---------------------------------------------------------------------------------------------------

    def snapshot(self, manager: KVEventManager) -> Snapshot:
        """All there is, with where the manager's sources stand, between two of their batches."""

        def take(checkpoints: Mapping[tuple[str, int], Checkpoint]) -> Snapshot:
            with self._lock:
                return Snapshot.taken(checkpoints, rows_of(self._contents, self._holders))

        return manager.at_rest(take)

    def restore(self, snapshot: Snapshot) -> None:
        """Hold what a snapshot holds, and nothing else. Sources are to be added after, with their checkpoints."""
        with self._lock:
            self._begin()
            restore(snapshot.rows, self._contents, self._holders)

    def stats(self) -> IndexStats:
        """What is counted."""
        with self._lock:
            contents, holders, filing, matches = self._contents, self._holders, self._filing, self._matches
            waiting = [segment for space in contents.spaces.values() for some in space.waiting.values() for segment in some]
            return IndexStats(
                sources=len(holders.sources),
                holders=len(holders.by_bit),
                blocks=contents.blocks,
                names=contents.names,
                resident=sum(source.blocks for source in holders.sources.values()),
                segments=len(contents.segments),
                orphans=sum(len(segment.hashes) for segment in waiting),
                bytes=estimated_bytes(contents.names, len(contents.segments)),
                events=self._events,
                stored=filing.stored,
                removed=filing.removed,
                unknown_removals=filing.unknown_removals,
                remote=filing.remote,
                evictions=self._patrol.evictions + filing.given_up,
                matches=matches.count,
                match_seconds=matches.seconds,
                match_buckets=tuple(matches.buckets),
                matched_blocks=matches.blocks,
                matched_buckets=tuple(matches.block_buckets),
            )

    # --- inside -------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """With nothing at all."""
        self._contents = Contents()
        self._holders = Holders()
        marks = Marks(self._contents, counted=self._counted)
        self._filing = Filing(self._contents, self._holders, marks, self._max_source_blocks, keyed=self._keyed)
        self._patrol = Patrol(self._contents, self._holders, marks, self._max_blocks, self._gave_up)

    def _reached_by(self, hashes: tuple[BlockHash, ...], model: str, lora: str | int | None) -> list[Reach]:
        reaches = []
        for key, space in self._contents.spaces.items():
            if key.model == model and key.lora == lora:
                reach = Reach(Shape(key.block_size), len(hashes), self._holders)
                by_hashes(space, hashes, reach)
                reaches.append(reach)
        return reaches

    def _store(self, source: IndexedSource, event: BlockStored) -> None:
        try:
            if not self._filing.stored_blocks(source, event):
                self._gave_up(source)
        except DecodeError:
            self._flaws.append((source, Flaw.STORED))

    def _gave_up(self, source: IndexedSource) -> None:
        self._flaws.append((source, Flaw.EVICTED))

    def _report(self) -> None:
        """Without the lock, as the source's state may change by it, and come back here."""
        with self._lock:
            flaws, self._flaws = self._flaws, []
        if self._tell is not None:
            for source, flaw in dict.fromkeys(flaws):
                self._tell(source.pod, source.rank, flaw)

    def _matched(self, began: int, reaches: list[Reach]) -> Match:
        match = Match(reaches)
        self._matches.took(perf_counter_ns() - began, match.best)
        return match
