"""Where a processor's memory outlives the process: nowhere, or in its part of one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from kato_transport import ErrorCode, ServiceError
from kato_transport_processor_memory.database import advice, claim, unusable
from kato_transport_processor_memory.models import LearnedModel
from kato_transport_processor_memory.moment import Moment
from kato_transport_processor_memory.rows import Rows, Saved


class Store(Protocol):
    """Keeps what it is told; `ServiceError` where it could not, and then it keeps what it had before."""

    def load(self) -> Saved:
        """What was kept; `InvalidSetting` where it is damaged."""

    def save(self, before: Moment, after: Moment, learned: LearnedModel | None) -> None:
        """Keep a new moment in the place of the last one, and a model as it is once learned."""

    def forget(self) -> None:
        """Keep nothing but the genes."""

    def save_gene(self, name: str, value: Any) -> None:
        """Keep a gene's value."""

    def close(self) -> None:
        """Let go of the file; idempotent."""


class Nowhere:
    """A store for processors that live in memory alone."""

    def load(self) -> Saved:
        return Saved()

    def save(self, before: Moment, after: Moment, learned: LearnedModel | None) -> None:
        pass

    def forget(self) -> None:
        pass

    def save_gene(self, name: str, value: Any) -> None:
        pass

    def close(self) -> None:
        pass


class FileStore:
    """One processor's part of a SQLite file, each write a transaction; `InvalidSetting` where the file cannot be used."""

    def __init__(self, path: Path, processor_id: str) -> None:
        self._path = path
        self._id = processor_id
        self._closed = False
        self._database = claim(path, processor_id)

    def load(self) -> Saved:
        """Reads all, and writes one row to be sure that it can."""
        try:
            with self._database.transaction() as connection:
                rows = Rows(connection, self._id)
                saved = rows.read()
                rows.write_mind(saved.moment)
            return saved
        except sqlite3.Error as exc:
            self.close()
            raise unusable(self._path, advice(exc)) from exc
        except (ValueError, LookupError, TypeError, AttributeError) as exc:
            self.close()
            raise unusable(self._path, f"it is damaged ({exc}); restore it from a copy, or give another file") from exc

    def save(self, before: Moment, after: Moment, learned: LearnedModel | None) -> None:
        with self._writing() as rows:
            rows.write_moment(before, after)
            if learned is not None:
                rows.write_model(learned)

    def forget(self) -> None:
        with self._writing() as rows:
            rows.forget()

    def save_gene(self, name: str, value: Any) -> None:
        with self._writing() as rows:
            rows.write_gene(name, value)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._database.release(self._id)

    @contextmanager
    def _writing(self) -> Iterator[Rows]:
        if self._closed:
            raise ServiceError("nothing was changed: the processor is closed", ErrorCode.INTERNAL)
        try:
            with self._database.transaction() as connection:
                yield Rows(connection, self._id)
        except sqlite3.Error as exc:
            raise ServiceError(f"nothing was changed: {self._path} cannot be written: {exc}", ErrorCode.INTERNAL) from exc
