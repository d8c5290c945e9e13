"""The learned models, found by name and by the symbols they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from attrs import evolve

from kato_transport_processor_memory.emotives import Emotives
from kato_transport_processor_memory.models import Events, LearnedModel, Symbols, name_of
from kato_transport_processor_memory.statistics import SymbolStatistics


class LearnedModels:
    """All models of one processor, their inverted index and their symbols' statistics."""

    def __init__(self) -> None:
        self.statistics = SymbolStatistics()
        self._models: list[LearnedModel] = []
        self._positions: dict[str, int] = {}
        self._holders: dict[str, list[tuple[int, int]]] = {}
        """Symbol to the models that hold it: their position, and how often they hold it."""

    def __len__(self) -> int:
        return len(self._models)

    def get(self, name: str) -> LearnedModel | None:
        """The model of that name (without prefix), or None."""
        position = self._positions.get(name)
        return None if position is None else self._models[position]

    def learned(self, sequence: Events, emotives: Emotives, persistence: int) -> LearnedModel:
        """What the model of a sequence will be once it is learned (again); nothing is changed yet."""
        name = name_of(sequence)
        known = self.get(name)
        if known is None:
            return LearnedModel(len(self), name, sequence, emotives=_pushed((), emotives, persistence))
        return evolve(known, frequency=known.frequency + 1, emotives=_pushed(known.emotives, emotives, persistence))

    def put(self, model: LearnedModel) -> None:
        """Take a model as it is now, in the place of what it was."""
        known = self.get(model.name)
        self.statistics.count(model.symbols, model.frequency - (known.frequency if known else 0))
        if known is None:
            self._index(model)
        else:
            self._models[model.position] = model

    def sharing(self, state: Symbols) -> Iterator[tuple[LearnedModel, int]]:
        """The models that share symbols with the state, and how many at most, in the order of first learning."""
        shared: Counter[int] = Counter()
        for symbol, wanted in Counter(state).items():
            for position, held in self._holders.get(symbol, ()):
                shared[position] += min(wanted, held)
        return ((self._models[position], shared[position]) for position in sorted(shared))

    def _index(self, model: LearnedModel) -> None:
        for symbol, held in Counter(model.symbols).items():
            self._holders.setdefault(symbol, []).append((model.position, held))
        self._models.append(model)
        self._positions[model.name] = model.position


def _pushed(window: tuple[Emotives, ...], emotives: Emotives, persistence: int) -> tuple[Emotives, ...]:
    """The window with what is not 0 of the emotives pushed, and only its last `persistence` entries kept."""
    felt = {key: value for key, value in emotives.items() if value}
    if not felt:
        return window
    return (*window, felt)[-persistence:] if persistence > 0 else ()
