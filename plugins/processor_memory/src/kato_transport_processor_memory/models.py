"""What is learned: sequences of events, named by their content."""

from __future__ import annotations

from hashlib import sha1
from itertools import chain

from attrs import field, frozen

from kato_transport_processor_memory.emotives import Emotives

PREFIX = "MODEL|"
"""Stands before a model's name on the wire."""

Symbols = tuple[str, ...]

Events = tuple[Symbols, ...]
"""A sequence: each event is the symbols seen at one moment."""


def flatten(events: Events) -> Symbols:
    """The symbols of all events, one after the other."""
    return tuple(chain.from_iterable(events))


def name_of(events: Events) -> str:
    """A sequence's name: the same content has the same name everywhere."""
    return sha1(str(as_lists(events)).encode(), usedforsecurity=False).hexdigest()


def as_lists(events: Events) -> list[list[str]]:
    """Events as they go on the wire."""
    return [list(event) for event in events]


@frozen
class LearnedModel:
    """One learned sequence; learning it again gives a new record in its place."""

    position: int
    """Its place in the order of first learning."""
    name: str
    sequence: Events
    frequency: int = 1
    emotives: tuple[Emotives, ...] = ()
    """The rolling window: the averaged emotives of the last learnings that had any."""
    symbols: Symbols = field(init=False)

    @symbols.default
    def _symbols(self) -> Symbols:
        return flatten(self.sequence)

    @property
    def length(self) -> int:
        """The number of its symbols, all events together."""
        return len(self.symbols)
