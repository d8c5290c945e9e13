"""Removed blocks: engines name them leaf first, root first or in any order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kato_transport.events import BlockHash
from kato_transport_kv_events.index.contents import Space
from kato_transport_kv_events.index.marks import Marks
from kato_transport_kv_events.index.sources import Holder


def remove(marks: Marks, spaces: Iterable[Space], holder: Holder, hashes: Sequence[BlockHash]) -> int:
    """Take blocks from a holder; says how many of them it had.

    An event does not say which space its hashes are of. So where one hash is in several, it goes from all: something may
    be missing then, and nothing is there that is gone.
    """
    remove_from = _remove_one if len(hashes) == 1 else _remove_many
    found = 0
    for space in spaces:
        found += remove_from(marks, space, holder, hashes)
    return found


def _remove_one(marks: Marks, space: Space, holder: Holder, hashes: Sequence[BlockHash]) -> int:
    name = hashes[0]
    segment = space.by_hash.get(name)
    return 0 if segment is None else marks.remove(segment, segment.position(name), hashes, holder)


def _remove_many(marks: Marks, space: Space, holder: Holder, hashes: Sequence[BlockHash]) -> int:
    by_hash, at, found = space.by_hash, 0, 0
    while at < len(hashes):
        segment = by_hash.get(hashes[at])
        if segment is None:
            at += 1
            continue
        start, run = _run(segment.names_with(hashes[at]), segment.position(hashes[at]), hashes, at)
        at += len(run)
        found += marks.remove(segment, start, run, holder)
    return found


def _run(
    names: tuple[BlockHash | None, ...], position: int, hashes: Sequence[BlockHash], at: int
) -> tuple[int, Sequence[BlockHash]]:
    """Where in a segment blocks lie that are removed in a row, downwards or upwards, and their hashes in its order."""
    if at + 1 < len(hashes):
        down = tuple(hashes[at : at + position + 1])[::-1]
        start = position + 1 - len(down)
        if names[start : position + 1] == down:
            return start, down
        up = tuple(hashes[at : at + len(names) - position])
        if names[position : position + len(up)] == up:
            return position, up
    return position, hashes[at : at + 1]
