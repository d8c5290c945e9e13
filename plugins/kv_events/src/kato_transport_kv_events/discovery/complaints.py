"""What went wrong with a discovery: counted every time, logged when it is new."""

from __future__ import annotations

import logging
from typing import Final

ERRORS: Final = ("lookup", "source", "add", "crash")
"""Categories: nobody could be asked; the answer is no list of sources; a source was found that the manager refuses; the
discovery raised something that it should not."""
MOST_REMEMBERED: Final = 1000

log = logging.getLogger("kato_transport.kv_events")


class Complaints:
    """Of one discovery. What is still wrong at the next report is known already, what comes back later is new."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts = dict.fromkeys(ERRORS, 0)
        self._before: set[str] = set()
        self._since: set[str] = set()

    def add(self, category: str, reason: str) -> None:
        self._counts[category] = self._counts.get(category, 0) + 1
        if reason not in self._before | self._since:
            log.warning("%s: %s", self._name, reason)
        if len(self._since) < MOST_REMEMBERED:
            self._since.add(reason)

    def reported(self) -> None:
        """A report is complete."""
        self._before, self._since = self._since, set()

    def counts(self) -> dict[str, int]:
        return dict(self._counts)
