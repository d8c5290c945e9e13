"""Filing stored blocks: under hashes that are known already, under keys that are, or as something new.

The tokens of an event are looked at only where one of its hashes is new: a known hash says what is in its block.

Where keys are to be had, they decide where a block is: one after another, each is either the block after its parent in
the parent's segment, or the first of some segment, or nowhere yet. Blocks whose parent is unknown are orphans: filed by
their hashes, with their tokens, until the parent comes. Where an event does not say which block each hash is of, they are
filed by hash alone, until an event that does say it brings them again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from kato_transport.events import BlockHash, BlockStored
from kato_transport_kv_events.index.contained import content_of
from kato_transport_kv_events.index.contents import Contents, Space
from kato_transport_kv_events.index.keys import Keys, agreeing, chain, key_at
from kato_transport_kv_events.index.marks import Marks
from kato_transport_kv_events.index.segment import LONGEST, Content, Orphan, Segment
from kato_transport_kv_events.index.sources import Holder, Holders


class Run:
    """Consecutive blocks that a holder has stored, or that are filed anew."""

    __slots__ = ("_content", "_event", "hashes", "holder", "parent", "space")

    def __init__(
        self,
        space: Space,
        holder: Holder,
        hashes: list[BlockHash],
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
    """Writes stored blocks into the contents."""

    def __init__(self, contents: Contents, holders: Holders, marks: Marks) -> None:
        self._contents = contents
        self._holders = holders
        self._marks = marks
        self._anew: deque[Run] = deque()
        """Runs to be filed again, as more is known of them now."""

    def store(self, run: Run) -> None:
        """File a run; `DecodeError` where its tokens had to be read and are none."""
        try:
            self._file(run)
        finally:
            while self._anew:
                self._file(self._anew.popleft())

    def adopt(self, unsized: Space, space: Space, hashes: list[BlockHash]) -> None:
        """File blocks that came without their size in the space where they belong by it."""
        for name in hashes:
            if (segment := unsized.by_hash.get(name)) is not None:
                self._file_anew(segment, space)

    # --- where to look ------------------------------------------------------------------------------------------

    def _file(self, run: Run) -> None:
        hashes, by_hash = run.hashes, run.space.by_hash
        if by_hash.keys().isdisjoint(hashes) and (len(hashes) == 1 or len(set(hashes)) == len(hashes)):
            self._file_new(run, 0, len(hashes))
            return
        at = 0
        while at < len(hashes):
            segment = by_hash.get(hashes[at])
            if segment is None:
                end = _end_of_new(by_hash, hashes, at)
                self._file_new(run, at, end)
                at = end
            elif segment.keys or not self._has_keys(run, at):
                at += self._file_known(segment, run, at)
            else:
                self._file_anew(segment, segment.space)  # after this run: for it, the hash is new

    def _has_keys(self, run: Run, at: int) -> bool:
        if run.content is None:
            return False
        parent = run.parent_of(at)
        if parent is None:
            return True
        segment = run.space.by_hash.get(parent)
        return segment is not None and bool(segment.keys)

    def _file_known(self, segment: Segment, run: Run, at: int) -> int:
        """Mark what the segment has of the run from there on, and say how many blocks it was."""
        names = segment.names_with(run.hashes[at])
        start = names.index(run.hashes[at])
        there, wanted = names[start:], run.hashes[at : at + len(names) - start]
        count = len(wanted)
        if there[:count] != wanted:
            count = next(number for number in range(count) if there[number] != wanted[number])
        self._marks.add(segment, start, wanted[:count], run.holder)
        segment.used = True
        return count

    def _file_new(self, run: Run, at: int, end: int) -> None:
        content = run.content
        if content is None:
            self._file_by_hash(run, at, end)
            return
        parent, segment, position = run.parent_of(at), None, -1
        if parent is None:
            seed = self._contents.root(run.space, content.shape)
        else:
            segment = run.space.by_hash.get(parent)
            if segment is None or not segment.keys:
                self._file_orphans(run, at, end, content)
                return
            position = segment.names_with(parent).index(parent)
            seed = key_at(segment.keys, position)
        if end - at != len(run.hashes):
            content = content.part(at, end)
        keys = chain(content.ids, end - at, content.shape, seed, content.extras)
        self._place(run, run.hashes[at:end], keys, segment, position)
        self._join_orphans(run.space, run.hashes[at:end])

    # --- blocks without keys ------------------------------------------------------------------------------------

    def _file_by_hash(self, run: Run, at: int, end: int) -> None:
        for start in range(at, end, LONGEST):
            hashes = run.hashes[start : min(end, start + LONGEST)]
            self._marks.add(self._contents.add(run.space, hashes, None), 0, hashes, run.holder)

    def _file_orphans(self, run: Run, at: int, end: int, content: Content) -> None:
        for start in range(at, end, LONGEST):
            stop = min(end, start + LONGEST)
            parent = run.parent_of(start)
            assert parent is not None
            hashes = run.hashes[start:stop]
            segment = self._contents.add(run.space, hashes, None, Orphan(parent, content.part(start, stop)))
            self._marks.add(segment, 0, hashes, run.holder)

    def _join_orphans(self, space: Space, hashes: list[BlockHash]) -> None:
        if not space.waiting or space.waiting.keys().isdisjoint(hashes):
            return
        for name in hashes:
            for segment in list(space.waiting.get(name, ())):
                self._file_anew(segment, space)

    def _file_anew(self, segment: Segment, space: Space) -> None:
        """Take a segment without keys apart, and file again what each holder has of it."""
        holders, orphan = self._holders.among(segment.holders), segment.orphan
        for holder in holders:
            holder.source.spaces[space.key] = space
            for start, end in _stretches(segment.held_by(holder.bit)):
                parent = orphan.parent if orphan is not None and not start else segment.hashes[start - 1]
                content = None if orphan is None else orphan.content.part(start, end)
                self._anew.append(Run(space, holder, segment.hashes[start:end], parent, content=content))
        self._marks.free(segment, holders)

    # --- blocks with keys ---------------------------------------------------------------------------------------

    def _place(self, run: Run, hashes: list[BlockHash], keys: Keys, segment: Segment | None, position: int) -> None:
        """File blocks where their keys say; `segment` and `position` are of the parent, if there is one."""
        at = 0
        while at < len(hashes):
            home, start = self._home(keys.numbers[at], segment, position)
            if home is None:
                end = self._end_of_unfiled(keys.numbers, at)
                segment, count = self._grow(run, hashes[at:end], keys.part(at, end), segment, position)
                position = len(segment.hashes) - 1
            else:
                count = agreeing(home.keys[start * 8 :], keys.packed[at * 8 :])
                named = hashes[at : at + count]
                self._contents.alias(home, start, run.space, named, run.holder.bit)
                self._marks.add(home, start, named, run.holder)
                home.used = True
                segment, position = home, start + count - 1
            at += count

    def _home(self, key: int, parent: Segment | None, position: int) -> tuple[Segment | None, int]:
        if parent is not None and position + 1 < len(parent.hashes) and key_at(parent.keys, position + 1) == key:
            return parent, position + 1
        return self._contents.first.get(key), 0

    def _end_of_unfiled(self, numbers: list[int], at: int) -> int:
        first = self._contents.first
        if first.keys().isdisjoint(numbers if not at else numbers[at:]):
            return len(numbers)
        return next(number for number in range(at, len(numbers)) if numbers[number] in first)

    def _grow(
        self, run: Run, hashes: list[BlockHash], keys: Keys, parent: Segment | None, position: int
    ) -> tuple[Segment, int]:
        """The segment that the first of the blocks are in now, at its end, and how many they are."""
        holder = run.holder
        if parent is not None and self._can_grow(parent, position, run):
            room = LONGEST - len(parent.hashes)
            self._marks.extend(parent, hashes[:room], keys.packed[: room * 8], holder)
            return parent, min(room, len(hashes))
        named = hashes[:LONGEST]
        segment = self._contents.add(run.space, named, keys.part(0, LONGEST))
        self._marks.add(segment, 0, named, holder)
        return segment, len(named)

    @staticmethod
    def _can_grow(parent: Segment, position: int, run: Run) -> bool:
        size = len(parent.hashes)
        return (
            position == size - 1
            and size < LONGEST
            and parent.full == run.holder.bit
            and parent.part is None
            and parent.aliases is None
            and parent.space is run.space
        )


def _end_of_new(by_hash: dict[BlockHash, Segment], hashes: list[BlockHash], at: int) -> int:
    """Where hashes end that are not known and not repeated."""
    seen: set[BlockHash] = set()
    for end in range(at, len(hashes)):
        if hashes[end] in by_hash or hashes[end] in seen:
            return end
        seen.add(hashes[end])
    return len(hashes)


def _stretches(bitmap: int) -> Iterator[tuple[int, int]]:
    """Where bits in a row begin and end."""
    start = 0
    while bitmap:
        skipped = (bitmap & -bitmap).bit_length() - 1
        start += skipped
        bitmap >>= skipped
        count = (~bitmap & (bitmap + 1)).bit_length() - 1
        yield start, start + count
        start += count
        bitmap >>= count
