"""What a discovery has to look like, and what it tells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from kato_transport_kv_events.subscription.source import Source


class Report(Protocol):
    """Who is told; does nothing more once the discovery has been closed."""

    def found(self, sources: Iterable[Source]) -> None:
        """These are all the sources there are now; to be told again whenever they were looked up, changed or not."""

    def failed(self, category: str, reason: str) -> None:
        """Nothing could be found out, so what was found last still holds.

        The category is `lookup` where nobody could be asked, `source` where the answer is no list of sources.
        """


@runtime_checkable
class Discovery(Protocol):
    """Finds sources, once: it is run, and closed."""

    name: str
    """What it is called in logs and metrics: the text that it was opened by."""

    def run(self, report: Report) -> None:
        """Tell what is found, now and whenever it changes, until `close`; has a thread of its own.

        An exception is logged and counted, and it is run again after a while.
        """

    def close(self) -> None:
        """Have `run` return soon; called on another thread, perhaps before `run`, perhaps twice."""
