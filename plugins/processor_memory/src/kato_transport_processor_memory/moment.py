"""What a processor has in mind at one moment.

A change makes a new moment and puts it in the old one's place when it is saved. So a write that fails changes nothing,
and a reader needs no lock: it sees one moment or the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, frozen

from kato_transport_processor_memory.emotives import Emotives, Totals
from kato_transport_processor_memory.models import Events, Symbols
from kato_transport_processor_memory.predictions import Prediction
from kato_transport_processor_memory.vectors import VectorSum


@frozen(kw_only=True)
class Moment:
    """Everything but genes and learned models."""

    time: int = 0
    """Observations since the last clear-all."""
    stm: Events = ()
    symbols: Symbols = ()
    """The last observation's event; empty where it had neither strings nor vectors."""
    percept: Mapping[str, Any] = Factory(dict)
    emotives: Emotives = Factory(dict)
    """The current ones, as shown."""
    felt: Totals = Factory(dict)
    """Emotives seen since the last learning."""
    sums: tuple[VectorSum, ...] = ()
    """The different sums of vectors, in the order they were first observed; era A only."""
    known_sums: int = 0
    """How many of them, from the first, were observed before the last learning."""
    predictions: tuple[Prediction, ...] = ()

    def without_short_term_memory(self) -> Moment:
        """What a cleared short-term memory leaves."""
        return Moment(time=self.time, sums=self.sums, known_sums=self.known_sums)
