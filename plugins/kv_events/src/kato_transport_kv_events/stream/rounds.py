"""One answer of the replay endpoint, read frame by frame: is it the same life, and is it without holes?"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from kato_transport_kv_events.stream.anchor import Anchor


class Finding(Enum):
    """What a frame of an answer says."""

    CONFIRMED = auto()
    """It is the last of the batches that the life is recognised by, and has the payload that is known of it."""
    NEXT = auto()
    """It is where it should be."""
    RESTARTED = auto()
    """It has another payload than the one known under its number."""
    LATER = auto()
    """The answer begins later than asked: the buffer does not reach back that far."""
    HOLE = auto()
    """Batches before it are missing in the answer."""
    REPEATED = auto()
    """It was read already, or the frames behind a hole are not read."""


class Ending(Enum):
    """What an answer comes to, once its end marker is there."""

    EMPTY = auto()
    """Nothing but the end marker."""
    RESTARTED = auto()
    """It ends before a number that is known: the numbers began anew."""
    HOLE = auto()
    WHOLE = auto()


class Round:
    """A request from `start` and its answer; `marks` are known batches of the life that the answer should show.

    `newest_held` is the highest live number that waited when this was asked, which the answer of the same life has.
    """

    def __init__(
        self, start: int, marks: Iterable[Anchor], newest_held: int, *, came_live: bool = False, resync: bool = False
    ) -> None:
        self.start = start
        self.newest_held = newest_held
        self.came_live = came_live
        """Whether a mark came live, so that the answer shows both sockets to be one engine's."""
        self.resync = resync
        """Whether everything is asked for once more."""
        self.again = False
        """Whether live numbers fell meanwhile, so that this was asked too early."""
        self.news = 0
        """Batches applied from this answer."""
        self._marks: dict[int, list[Anchor]] = {}  # one number may have two: what a replay brought, and what came live
        for mark in marks:
            self._marks.setdefault(mark.sequence, []).append(mark)
        self.anchored = bool(self._marks)
        """Whether there is anything to recognise the life by."""
        self._expected = -1
        self._hole = False

    @property
    def begun(self) -> bool:
        """Whether a batch has come."""
        return self._expected >= 0

    def read(self, sequence: int, payload: bytes) -> Finding:
        first = not self.begun
        if not first and (sequence < self._expected or self._hole):
            return Finding.REPEATED
        if not first and sequence > self._expected:
            self._hole = True
            return Finding.HOLE
        self._expected = sequence + 1
        marks = self._marks.pop(sequence, None)
        if marks is not None:
            return self._recognised(marks, payload)
        return Finding.LATER if first and sequence > self.start else Finding.NEXT

    def skip_to(self, sequence: int) -> None:
        """Take a hole for what it is, and read on behind it."""
        self._hole = False
        self._expected = sequence + 1

    def end(self) -> Ending:
        if not self.begun:
            return Ending.EMPTY
        if self._hole:
            return Ending.HOLE
        return Ending.RESTARTED if any(sequence >= self._expected for sequence in self._marks) else Ending.WHOLE

    def _recognised(self, marks: list[Anchor], payload: bytes) -> Finding:
        if not all(mark.is_of(payload) for mark in marks):
            return Finding.RESTARTED
        return Finding.NEXT if self._marks else Finding.CONFIRMED
