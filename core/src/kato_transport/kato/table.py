"""Which processor a request means, and the lane it waits in: the same wherever the processors are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from kato_transport.errors import InvalidSetting, ServiceError
from kato_transport.kato.methods import METHODS
from kato_transport.lanes import INLINE
from kato_transport.model import ErrorCode, Request

T = TypeVar("T")


class ProcessorTable(Generic[T]):
    """From a processor's id to what answers for it; the first one is meant where a request names none.

    Each processor is a lane of its own: its requests run one after the other, in the order they came.
    """

    def __init__(self, entries: Sequence[tuple[str, T]]) -> None:
        self._entries = dict(entries)
        if not entries or len(self._entries) < len(entries):
            raise InvalidSetting(f"processors need ids of their own, not {[processor_id for processor_id, _ in entries]}")
        first_id, self._first = entries[0]
        self._lanes = {processor_id: f"processor {processor_id}" for processor_id in self._entries}
        self._first_lane = self._lanes[first_id]
        self.ids = list(self._entries)

    def lane(self, request: Request) -> str:
        """`get_name` reads three attributes and waits for nobody, so that a slow observation does not make a processor
        look dead; and what no processor can answer is told so at once."""
        if request.method == "get_name" or request.method not in METHODS:
            return INLINE
        if not request.processor_id:
            return self._first_lane
        return self._lanes.get(request.processor_id, INLINE)

    def meant_by(self, request: Request) -> T:
        """What answers for the processor that the request names; `ServiceError` where there is none."""
        if not request.processor_id:
            return self._first
        try:
            return self._entries[request.processor_id]
        except KeyError:
            text = f"no processor {request.processor_id!r}; this server has: {', '.join(self.ids)}"
            raise ServiceError(text, ErrorCode.NOT_FOUND) from None
