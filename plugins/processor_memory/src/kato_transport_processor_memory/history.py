"""The predictions of past observations, by the id of the observation; a bounded number of them."""

from __future__ import annotations

from kato_transport_processor_memory.predictions import Prediction

MAX_LISTS = 1000
MAX_PREDICTIONS = 20_000
"""In all lists together; the newest list is kept whatever its size."""


class History:
    """The first list under each id that was not empty; the oldest go first."""

    def __init__(self) -> None:
        self._lists: dict[str, tuple[Prediction, ...]] = {}
        self._predictions = 0

    def add(self, unique_id: str, predictions: tuple[Prediction, ...]) -> None:
        if not predictions or unique_id in self._lists:
            return
        self._lists[unique_id] = predictions
        self._predictions += len(predictions)
        while len(self._lists) > MAX_LISTS or (self._predictions > MAX_PREDICTIONS and len(self._lists) > 1):
            oldest = next(iter(self._lists))
            self._predictions -= len(self._lists.pop(oldest))

    def get(self, unique_id: str) -> tuple[Prediction, ...]:
        return self._lists.get(unique_id, ())
