"""One SQLite file: opened, recognised, locked, and shared by the processors of this process.

The file is held exclusively from its opening to its closing, so a second process is refused at the start and can corrupt
nothing. Within the process all processors go through one connection, each under an id of its own. A process that is
killed leaves at worst an unfinished transaction, which SQLite discards at the next opening.

Commits are handed to the operating system and not waited for on the disk (`synchronous=NORMAL`): they survive the end of
the process in any way, while a power failure may take the last of them, whole transactions each.
"""

from __future__ import annotations

import ctypes
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kato_transport import InvalidSetting
from kato_transport.fork import watch

APPLICATION_ID = 0x4B41544F
"""`KATO` in ASCII: tells these files from other SQLite files."""

SCHEMA_VERSION = 1

SCHEMA = (
    "CREATE TABLE processors (id TEXT PRIMARY KEY, time INTEGER NOT NULL, mind TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE genes (processor TEXT, name TEXT, value TEXT NOT NULL, PRIMARY KEY (processor, name)) WITHOUT ROWID",
    "CREATE TABLE events (processor TEXT, position INTEGER, content TEXT NOT NULL,"
    " PRIMARY KEY (processor, position)) WITHOUT ROWID",
    "CREATE TABLE sums (processor TEXT, position INTEGER, content TEXT NOT NULL,"
    " PRIMARY KEY (processor, position)) WITHOUT ROWID",
    "CREATE TABLE models (processor TEXT, position INTEGER, name TEXT NOT NULL, sequence TEXT NOT NULL,"
    " frequency INTEGER NOT NULL, emotives TEXT NOT NULL, PRIMARY KEY (processor, position)) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

LOCK_WAIT_S = 1.0
"""How long an opening waits for a process that is just ending."""

_opened: dict[Path, Database] = {}
_opening = threading.RLock()


class NotUsable(Exception):
    """Why a file cannot be used, and what to do."""


class Database:
    """An open file; `claim` gives the one of a path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users: set[str] = set()
        self._lock = threading.RLock()
        self._inherited = False
        self._connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise
        watch(self)

    @contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """All of what happens inside, or nothing; `sqlite3.Error` where it cannot be written."""
        with self._lock:
            if self._inherited:
                raise sqlite3.ProgrammingError("the file was opened by the parent of this process, which goes on using it")
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def take(self, processor_id: str) -> None:
        """Reserve an id; `NotUsable` where this process already has a processor of that id in the file."""
        if processor_id in self._users:
            raise NotUsable(f"processor {processor_id!r} already uses it in this process; give this one another id or file")
        self._users.add(processor_id)

    def release(self, processor_id: str) -> None:
        """Give an id back; with the last one the file is closed."""
        with _opening, self._lock:
            if self._inherited:
                return
            self._users.discard(processor_id)
            if not self._users:
                _opened.pop(self.path, None)
                self._connection.close()

    def after_fork_in_child(self) -> None:
        """Leave the file to the parent.

        Were the connection collected in the child, even at its exit, SQLite would remove the write-ahead log that the
        parent is still writing to, so it gets a reference that nothing gives back.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
        self._inherited = True
        self._lock = threading.RLock()
        _opened.pop(self.path, None)

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        with self.transaction("EXCLUSIVE"):
            self._create_or_recognise()
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")

    def _create_or_recognise(self) -> None:
        application, version = self._number("PRAGMA application_id"), self._number("PRAGMA user_version")
        if application == APPLICATION_ID and version > SCHEMA_VERSION:
            raise NotUsable(
                f"it has schema version {version}, and this release knows up to {SCHEMA_VERSION};"
                " upgrade kato-transport-processor-memory or give another file"
            )
        if application != APPLICATION_ID:
            if application or version or self._number("SELECT count(*) FROM sqlite_master"):
                raise NotUsable("it is a SQLite file of something else; give another file")
            for statement in SCHEMA:
                self._connection.execute(statement)

    def _number(self, statement: str) -> int:
        return int(self._connection.execute(statement).fetchone()[0])


def claim(path: Path, processor_id: str) -> Database:
    """The database of a path, for one processor, until it is released; `InvalidSetting` says why not and what to do."""
    try:
        processor_id.encode()  # SQLite keeps UTF-8
        resolved = Path(path).resolve()
        with _opening:
            database = _opened.get(resolved) or Database(resolved)
            database.take(processor_id)
            _opened[resolved] = database
            return database
    except NotUsable as exc:
        raise unusable(path, str(exc)) from exc
    except sqlite3.Error as exc:
        raise unusable(path, advice(exc)) from exc
    except (OSError, RuntimeError, ValueError) as exc:
        raise unusable(path, str(exc)) from exc


def unusable(path: Path, reason: str) -> InvalidSetting:
    """The error of a data path that cannot be used."""
    return InvalidSetting(f"data {str(path)!r} cannot be used: {reason}")


def advice(exc: sqlite3.Error) -> str:
    """What went wrong, and what to do."""
    primary = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    next_step = {
        sqlite3.SQLITE_BUSY: "another process has it open; stop that one, or give another file",
        sqlite3.SQLITE_NOTADB: "give a path that is a SQLite file of this processor, or does not exist yet",
        sqlite3.SQLITE_CORRUPT: "restore it from a copy, or give another file",
    }
    return f"{exc}; {next_step.get(primary, 'give a file in a directory that exists and can be written to')}"
