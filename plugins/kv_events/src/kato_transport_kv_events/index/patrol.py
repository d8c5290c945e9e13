"""A round over all segments, a few steps for each event: sweeps what forgotten sources left, and makes room.

Room is made as by a clock with a hand of its own: a segment that was stored to or matched since the hand last passed is passed
over once more, any other is given up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kato_transport_kv_events.index.contents import Contents
from kato_transport_kv_events.index.marks import Marks
from kato_transport_kv_events.index.segment import Segment
from kato_transport_kv_events.index.sources import Holder, Holders, IndexedSource

SWEPT_AT_ONCE: Final = 16
"""Segments swept for each event, several times what an event makes."""


class Patrol:
    """Keeps the contents within `max_blocks`, and bits of holders in use few."""

    def __init__(
        self,
        contents: Contents,
        holders: Holders,
        marks: Marks,
        max_blocks: int,
        given_up: Callable[[IndexedSource], None],
    ) -> None:
        self._contents = contents
        self._holders = holders
        self._marks = marks
        self._max_blocks = max_blocks
        self._given_up = given_up
        self._hand = 0
        self._oldest = 0
        """Of the hand that makes room."""
        self._sweeping = 0
        """Bits that are swept in this round: those dead when it began."""
        self.evictions = 0
        """Blocks given up."""

    def walk(self) -> None:
        if self._holders.dead:
            for _ in range(SWEPT_AT_ONCE):
                self._sweep_one()
        while self._contents.names > self._max_blocks:
            self._pass_one()

    def _sweep_one(self) -> None:
        """Downwards: what moves into a gap comes from the end, which has been passed already."""
        self._hand = min(self._hand, len(self._contents.segments)) - 1
        if self._hand < 0:
            self._begin_round()
        elif self._sweeping:
            self._marks.wipe(self._contents.segments[self._hand], self._sweeping)

    def _begin_round(self) -> None:
        self._holders.swept(self._sweeping)
        self._sweeping = self._holders.dead
        self._hand = len(self._contents.segments)

    def _pass_one(self) -> None:
        """Upwards, from what is oldest: what moves into a gap is young, and is passed over."""
        self._oldest %= len(self._contents.segments)
        segment = self._contents.segments[self._oldest]
        holders = self._holders.among(segment.holders)
        if segment.used and holders:
            segment.used = False
        else:
            self._give_up(segment, holders)
        self._oldest += 1

    def _give_up(self, segment: Segment, holders: list[Holder]) -> None:
        for holder in holders:
            self._given_up(holder.source)
        if holders:
            self.evictions += len(segment.hashes)
        self._marks.free(segment, holders)
