"""One processor's rows in the database: how models, events and the rest are written and read back.

Everything of variable shape is JSON text. Symbol statistics have no rows, as they follow from the models.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from attrs import Factory, frozen

from kato_transport_processor_memory.models import Events, LearnedModel, name_of
from kato_transport_processor_memory.moment import Moment
from kato_transport_processor_memory.vectors import VectorSum

T = TypeVar("T")

_values: Callable[[VectorSum], Sequence[float]] = attrgetter("values")


@frozen
class Saved:
    """What is kept of a processor."""

    moment: Moment = Factory(Moment)
    models: Sequence[LearnedModel] = ()
    """In the order of first learning."""
    genes: Mapping[str, Any] = Factory(dict)
    """Those that were changed."""


class Rows:
    """A processor's rows, for use within one transaction."""

    def __init__(self, connection: sqlite3.Connection, processor_id: str) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._id = processor_id

    def write_moment(self, before: Moment, after: Moment) -> None:
        """Only what differs, so an observation costs one small row however long the short-term memory is."""
        self.write_mind(after)
        self._write_tail("events", before.stm, after.stm, list)
        self._write_tail("sums", before.sums, after.sums, _values)

    def write_mind(self, moment: Moment) -> None:
        """What of a moment does not grow."""
        mind = {
            "symbols": moment.symbols,
            "percept": moment.percept,
            "emotives": moment.emotives,
            "felt": moment.felt,
            "known_sums": moment.known_sums,
        }
        self._execute("INSERT OR REPLACE INTO processors VALUES (?, ?, ?)", (self._id, moment.time, json.dumps(mind)))

    def write_model(self, model: LearnedModel) -> None:
        sequence, emotives = json.dumps(model.sequence), json.dumps(model.emotives)
        row = (self._id, model.position, model.name, sequence, model.frequency, emotives)
        self._execute("INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?, ?, ?)", row)

    def write_gene(self, name: str, value: Any) -> None:
        self._execute("INSERT OR REPLACE INTO genes VALUES (?, ?, ?)", (self._id, json.dumps(name), json.dumps(value)))

    def forget(self) -> None:
        """All but the genes."""
        self.write_mind(Moment())
        for table in ("events", "sums", "models"):
            self._execute(f"DELETE FROM {table} WHERE processor = ?", (self._id,))

    def read(self) -> Saved:
        """Everything; `ValueError` and its like where a row is not what was written."""
        models = self._rows("position, name, sequence, frequency, emotives FROM models WHERE processor = ? ORDER BY position")
        genes = self._rows("name, value FROM genes WHERE processor = ?")
        return Saved(
            self._read_moment(),
            [_model(place, *row) for place, row in enumerate(models)],
            {json.loads(name): json.loads(value) for name, value in genes},
        )

    def _read_moment(self) -> Moment:
        for time, text in self._rows("time, mind FROM processors WHERE id = ?"):
            mind = json.loads(text)
            return Moment(
                time=time,
                stm=tuple(self._contents("events")),
                symbols=tuple(mind["symbols"]),
                percept=mind["percept"],
                emotives=mind["emotives"],
                felt={key: (total, count) for key, (total, count) in mind["felt"].items()},
                sums=tuple(map(VectorSum, self._contents("sums"))),
                known_sums=mind["known_sums"],
            )
        return Moment()

    def _write_tail(self, table: str, before: Sequence[T], after: Sequence[T], content: Callable[[T], Sequence[Any]]) -> None:
        """Write from where two sequences differ to the end; they grow and are cut, and are never edited."""
        if before is after:
            return
        pairs = enumerate(zip(before, after, strict=False))
        kept = next((position for position, (old, new) in pairs if old is not new), min(len(before), len(after)))
        if kept < len(before):
            self._execute(f"DELETE FROM {table} WHERE processor = ? AND position >= ?", (self._id, kept))
        rows = [(self._id, position, json.dumps(content(after[position]))) for position in range(kept, len(after))]
        self._executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)

    def _contents(self, table: str) -> Iterator[tuple[Any, ...]]:
        rows = self._rows(f"content FROM {table} WHERE processor = ? ORDER BY position")
        return (tuple(json.loads(text)) for (text,) in rows)

    def _rows(self, select: str) -> Iterator[tuple[Any, ...]]:
        return self._execute(f"SELECT {select}", (self._id,))


def _model(place: int, position: int, name: str, sequence: str, frequency: int, emotives: str) -> LearnedModel:
    """A row as a model; its place and its name tell whether it is the one that was written."""
    events: Events = tuple(map(tuple, json.loads(sequence)))
    if position != place or name != name_of(events):
        raise ValueError(f"model {name} at {position} is not the one that was learned")
    return LearnedModel(position, name, events, frequency, tuple(json.loads(emotives)))
