"""Whose job is next: clients take turns, and the jobs of one lane stay in order.

* The jobs of a lane run one after the other in the order they came, whoever sent them: only the first of them can be started,
  and the next only once that has ended.
* Each client has two lines of what can be started: its jobs that are in no lane, and those that are the first of their lanes.
  All the lines take turns, a job each. A line that has become empty is gone; a new one joins at the end.

So a client delays the others by two jobs at most each time, however many it has waiting. What is behind its jobs in a lane
waits for these, and turns cannot help it; but not for what else that client has waiting in no lane.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

J = TypeVar("J")

Task = tuple[bytes, str, J]
"""A job with its client and its lane; the empty lane is no lane."""


class Turns(Generic[J]):
    """The jobs that wait, any number of them. Not safe to be used from several threads: their runner has a lock anyway."""

    def __init__(self) -> None:
        self._lines: dict[tuple[bytes, bool], deque[Task[J]]] = {}
        self._order: deque[deque[Task[J]]] = deque()  # the lines, the next one first
        self._lanes: dict[str, deque[Task[J]]] = {}  # what is behind a lane's first job, or behind the one that runs

    def add(self, client: bytes, lane: str, job: J) -> bool:
        """Let a job wait; whether it could be started right away."""
        task = (client, lane, job)
        if lane:
            if lane in self._lanes:
                self._lanes[lane].append(task)
                return False
            self._lanes[lane] = deque()
        self._line_up(task)
        return True

    def is_free(self, lane: str) -> bool:
        """Whether none of that lane's jobs waits or runs; the empty lane is always free."""
        return lane not in self._lanes

    def can_start(self) -> bool:
        """Whether `start` would give something."""
        return bool(self._order)

    def start(self) -> Task[J] | None:
        """The job to run now, whose lane is to be told to `ended` afterwards; None where nothing can be started."""
        if not self._order:
            return None
        line = self._order.popleft()
        task = line.popleft()
        if line:
            self._order.append(line)
        else:
            del self._lines[task[0], bool(task[1])]
        return task

    def ended(self, lane: str) -> None:
        """A job of that lane has been run: the lane's next can be started."""
        if not lane:
            return
        if self._lanes[lane]:
            self._line_up(self._lanes[lane].popleft())
        else:
            del self._lanes[lane]

    def rest(self) -> list[J]:
        """All jobs that wait, taken out; those that run still have their lanes."""
        first = [task for line in self._lines.values() for task in line]
        behind = [task for lane in self._lanes.values() for task in lane]
        free = {lane for _, lane, _ in first}
        self._lines, self._order = {}, deque()
        self._lanes = {lane: deque() for lane in self._lanes if lane not in free}
        return [job for _, _, job in (*first, *behind)]

    def _line_up(self, task: Task[J]) -> None:
        key = (task[0], bool(task[1]))
        if key in self._lines:
            self._lines[key].append(task)
        else:
            line = self._lines[key] = deque([task])
            self._order.append(line)
