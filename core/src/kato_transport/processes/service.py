"""The front of several worker processes: a `Service`, so any transport can serve it."""

from __future__ import annotations

from collections.abc import Sequence

from kato_transport.kato.table import ProcessorTable
from kato_transport.lanes import CONCURRENT, INLINE
from kato_transport.model import Request, Response
from kato_transport.processes.worker import WorkerProcess


class Forwarding:
    """Passes each request to the process that has its processor, one of a processor at a time.

    What a server owes its clients is done in front, once: repeats, batches, turns and limits. `entries` are the
    processors' ids, in order, with the process that has each.
    """

    def __init__(self, entries: Sequence[tuple[str, WorkerProcess]]) -> None:
        self._table = ProcessorTable(entries)

    @property
    def processors(self) -> list[str]:
        """The processors' ids, told to clients by `ping`."""
        return self._table.ids

    def lane(self, request: Request) -> str:
        lane = self._table.lane(request)
        return CONCURRENT if lane == INLINE else lane  # another process is never asked on the socket's thread

    def __call__(self, request: Request) -> Response:
        """The mark of its copies, its id and its compression are between the client and this server."""
        passed_on = Request(
            request.method,
            request.params,
            request.processor_id,
            request.timeout_s,
            framing=request.framing,
            trace=request.trace,
        )
        return self._table.meant_by(request).request(passed_on)
