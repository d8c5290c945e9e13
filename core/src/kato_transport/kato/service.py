"""The service of one or several processors: routes by `processor_id`, dispatches by method name.

The dispatch table is explicit; a name from the wire is never looked up on an object. Each processor is a lane of its own:
its requests run one after the other, in the order they came. `get_name` reads three attributes and runs at once, so that
a slow observation does not make a processor look dead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kato_transport.errors import InvalidSetting, ServiceError
from kato_transport.kato.engine import Engine
from kato_transport.kato.methods import METHODS
from kato_transport.lanes import INLINE
from kato_transport.model import ErrorCode, Request, Response


class ProcessorService:
    """Answers KATO's methods for the processors given; the first one is meant where a request names none."""

    def __init__(self, processors: Sequence[Any]) -> None:
        engines = [Engine(processor) for processor in processors]
        self._engines = {engine.id: engine for engine in engines}
        if not engines or len(self._engines) < len(engines):
            raise InvalidSetting(f"processors need ids of their own, not {[engine.id for engine in engines]}")
        self._first = engines[0]
        self._lanes = {engine.id: f"processor {engine.id}" for engine in engines}
        self._first_lane = self._lanes[self._first.id]

    @property
    def processors(self) -> list[str]:
        """The processors' ids, told to clients by `ping`."""
        return list(self._engines)

    def lane(self, request: Request) -> str:
        if request.method == "get_name" or request.method not in METHODS:
            return INLINE
        if not request.processor_id:
            return self._first_lane
        return self._lanes.get(request.processor_id, INLINE)  # an unknown one is told so at once

    def __call__(self, request: Request) -> Response:
        method = METHODS.get(request.method)
        if method is None:
            raise ServiceError(f"Unknown method: {request.method}", ErrorCode.UNKNOWN_METHOD)
        answer = method.handle(self._engine(request.processor_id), request)
        if method.bare and request.framing == "improved":
            return Response(answer)
        return Response({"status": "okay", **answer})

    def _engine(self, processor_id: str) -> Engine:
        if not processor_id:
            return self._first
        try:
            return self._engines[processor_id]
        except KeyError:
            known = ", ".join(self._engines)
            raise ServiceError(f"no processor {processor_id!r}; this server has: {known}", ErrorCode.NOT_FOUND) from None
