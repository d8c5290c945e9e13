"""The service of one or several processors: routes by `processor_id`, dispatches by method name.

The dispatch table is explicit; a name from the wire is never looked up on an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kato_transport.errors import ServiceError
from kato_transport.kato.engine import Engine
from kato_transport.kato.methods import METHODS
from kato_transport.kato.table import ProcessorTable
from kato_transport.model import ErrorCode, Request, Response


class ProcessorService:
    """Answers KATO's methods for the processors given."""

    def __init__(self, processors: Sequence[Any]) -> None:
        engines = [Engine(processor) for processor in processors]
        self._table = ProcessorTable([(engine.id, engine) for engine in engines])
        self.lane = self._table.lane

    @property
    def processors(self) -> list[str]:
        """The processors' ids, told to clients by `ping`."""
        return self._table.ids

    def __call__(self, request: Request) -> Response:
        method = METHODS.get(request.method)
        if method is None:
            raise ServiceError(f"Unknown method: {request.method}", ErrorCode.UNKNOWN_METHOD)
        answer = method.handle(self._table.meant_by(request), request)
        if method.bare and request.framing == "improved":
            return Response(answer)
        return Response({"status": "okay", **answer})
