"""Filing stored blocks: under hashes that are known already, under keys that are, or as something new.

The tokens of an event are looked at only where one of its hashes is new: a known hash says what is in its block.

Where keys are to be had, they decide where a block is: one after another, each is either the block after its parent in
the parent's segment, or the first of some segment, or nowhere yet. Blocks whose parent is unknown are orphans: filed by
their hashes, with their tokens, until the parent comes. Where an event does not say which block each hash is of, they are
filed by hash alone, until an event that does say it brings them again.
"""

from __future__ import annotations

from collections import deque

from kato_transport.events import BlockHash, BlockStored
from kato_transport_kv_events.index.appending import append
from kato_transport_kv_events.index.bitmaps import stretches
from kato_transport_kv_events.index.contained import content_of
from kato_transport_kv_events.index.contents import Contents, Space
from kato_transport_kv_events.index.keys import chain, key_at
from kato_transport_kv_events.index.marks import Marks
from kato_transport_kv_events.index.placing import Placing
from kato_transport_kv_events.index.prefilling import prefill
from kato_transport_kv_events.index.segment import LONGEST, Content, Knowledge, Orphan, Segment
from kato_transport_kv_events.index.sources import Holder, Holders


class Run:
    """Consecutive blocks that a holder has stored, some of which are known, or that are filed anew."""

    __slots__ = ("_content", "_event", "hashes", "holder", "parent", "space")

    def __init__(
        self,
        space: Space,
        holder: Holder,
        hashes: tuple[BlockHash, ...],
        parent: BlockHash | None,
        event: BlockStored | None = None,
        content: Content | None = None,
    ) -> None:
        self.space = space
        self.holder = holder
        self.hashes = hashes
        self.parent = parent
        self._event = event
        self._content = content

    @property
    def content(self) -> Content | None:
        """What is in the blocks, if that is known; read from the event when it is first asked for."""
        if self._event is not None:
            self._content, self._event = content_of(self._event), None
        return self._content

    def parent_of(self, at: int) -> BlockHash | None:
        return self.hashes[at - 1] if at else self.parent


class Storing:
    """Writes stored blocks into the contents; where it is not `keyed`, by their hashes alone."""

    def __init__(self, contents: Contents, holders: Holders, marks: Marks, *, keyed: bool) -> None:
        self._keyed = keyed
        self._contents = contents
        self._holders = holders
        self._marks = marks
        self._placing = Placing(contents, marks)
        self._anew: deque[Run] = deque()
        """Runs to be filed again, as more is known of them now."""

    def store(self, space: Space, holder: Holder, event: BlockStored) -> None:
        """File an event's blocks; `DecodeError` where its tokens had to be read and are none."""
        hashes = tuple(event.block_hashes)
        if len(hashes) == 1 and append(self._contents, space, holder, event, self._keyed):
            return
        try:
            if hashes[0] not in space.by_hash and prefill(
                self._contents, self._marks, space, holder, event, hashes, keyed=self._keyed
            ):
                return
            if space.by_hash.keys().isdisjoint(hashes) and len(set(hashes)) == len(hashes):
                content = content_of(event) if self._keyed else None
                self._file_new(space, holder, hashes, event.parent_block_hash, content)
            else:
                self._file(Run(space, holder, hashes, event.parent_block_hash, event if self._keyed else None))
        finally:
            while self._anew:
                self._file(self._anew.popleft())

    def store_hash(self, space: Space, holder: Holder, name: BlockHash) -> None:
        """File a block of which nothing else is said."""
        self._anew.append(Run(space, holder, (name,), None))
        while self._anew:
            self._file(self._anew.popleft())

    def adopt(self, unsized: Space, space: Space, hashes: tuple[BlockHash, ...]) -> None:
        """File blocks that came without their size in the space where they belong by it."""
        for name in hashes:
            if (segment := unsized.by_hash.get(name)) is not None:
                self._file_anew(segment, space)

    # --- where to look ------------------------------------------------------------------------------------------

    def _file(self, run: Run) -> None:
        space, hashes = run.space, run.hashes
        at = 0
        while at < len(hashes):
            segment = space.by_hash.get(hashes[at])
            if segment is None:
                end = _end_of_new(space.by_hash, hashes, at)
                content = run.content and run.content.part(at, end)
                self._file_new(space, run.holder, hashes[at:end], run.parent_of(at), content)
                at = end
            elif self._holders.dead and not self._holders.among(segment.holders):
                self._contents.free(segment)  # nobody's any more, and not swept yet: a new life may mean something else by it
            elif segment.keys or segment.knowledge >= self._knowledge(run, at):
                at += self._file_known(segment, run, at)
            else:
                self._file_anew(segment, space)  # after this run: for it, the hash is new

    def _knowledge(self, run: Run, at: int) -> Knowledge:
        """What a run says about its block there."""
        if run.content is None:
            return Knowledge.HASH
        parent = run.parent_of(at)
        segment = None if parent is None else run.space.by_hash.get(parent)
        return Knowledge.PREFIX if parent is None or (segment is not None and segment.keys) else Knowledge.TOKENS

    def _file_known(self, segment: Segment, run: Run, at: int) -> int:
        """Mark what the segment has of the run from there on, and say how many blocks it was."""
        names = segment.names_with(run.hashes[at])
        start = names.index(run.hashes[at])
        wanted = run.hashes[at : at + len(names) - start]
        there = names[start : start + len(wanted)]
        if there != wanted:
            wanted = wanted[: next(number for number, name in enumerate(wanted) if there[number] != name)]
        self._marks.add(segment, start, wanted, run.holder)
        segment.used = True
        return len(wanted)

    def _file_new(
        self, space: Space, holder: Holder, hashes: tuple[BlockHash, ...], parent: BlockHash | None, content: Content | None
    ) -> None:
        """File blocks that are under no hash yet."""
        segment, position = None, -1
        if content is None:
            self._file_by_hash(space, holder, hashes, parent)
            return
        if parent is None:
            seed = self._contents.root(space, content.shape)
        else:
            segment = space.by_hash.get(parent)
            if segment is None or not segment.keys:
                self._file_orphans(space, holder, hashes, parent, content)
                return
            position = segment.position(parent)
            seed = key_at(segment.keys, position)
        keys = chain(content.ids, len(hashes), content.shape, seed, content.extras)
        self._placing.place(space, holder, hashes, keys, segment, position)
        if space.waiting:
            self._join_orphans(space, hashes)

    # --- blocks without keys ------------------------------------------------------------------------------------

    def _file_by_hash(self, space: Space, holder: Holder, hashes: tuple[BlockHash, ...], parent: BlockHash | None) -> None:
        at, segment = 0, None if parent is None else space.by_hash.get(parent)
        if (
            segment is not None
            and segment.hashes[-1] == parent
            and segment.is_names_only
            and segment.is_all_of(holder.bit, space)
        ):
            at = LONGEST - len(segment.hashes)
            if at:
                self._marks.extend(segment, hashes[:at], b"", holder)
        for start in range(at, len(hashes), LONGEST):
            self._marks.begin(self._contents.add(space, hashes[start : start + LONGEST]), holder)

    def _file_orphans(
        self, space: Space, holder: Holder, hashes: tuple[BlockHash, ...], parent: BlockHash, content: Content
    ) -> None:
        for start in range(0, len(hashes), LONGEST):
            some = hashes[start : start + LONGEST]
            orphan = Orphan(parent, content.part(start, start + len(some)))
            self._marks.begin(self._contents.add(space, some, orphan=orphan), holder)
            parent = some[-1]

    def _join_orphans(self, space: Space, hashes: tuple[BlockHash, ...]) -> None:
        if space.waiting.keys().isdisjoint(hashes):
            return
        for name in hashes:
            for segment in list(space.waiting.get(name, ())):
                self._file_anew(segment, space)

    def _file_anew(self, segment: Segment, space: Space) -> None:
        """Take a segment without keys apart, and file again what each holder has of it."""
        holders, orphan = self._holders.among(segment.holders), segment.orphan
        for holder in holders:
            holder.source.spaces[space.key] = space
            first = None if orphan is None else orphan.parent
            for start, end in stretches(segment.held_by(holder.bit)):
                parent = segment.hashes[start - 1] if start else first
                content = None if orphan is None else orphan.content.part(start, end)
                self._anew.append(Run(space, holder, segment.hashes[start:end], parent, content=content))
            self._file_copies_anew(segment, space, holder)
        self._marks.free(segment, holders)

    def _file_copies_anew(self, segment: Segment, space: Space, holder: Holder) -> None:
        for (bit, position), count in (segment.copies or {}).items():
            if bit == holder.bit:
                name = segment.hashes[position]
                self._anew.extend(Run(space, holder, (name,), None) for _ in range(count))


def _end_of_new(by_hash: dict[BlockHash, Segment], hashes: tuple[BlockHash, ...], at: int) -> int:
    """Where hashes end that are not known and not repeated."""
    seen: set[BlockHash] = set()
    for end in range(at, len(hashes)):
        if hashes[end] in by_hash or hashes[end] in seen:
            return end
        seen.add(hashes[end])
    return len(hashes)
