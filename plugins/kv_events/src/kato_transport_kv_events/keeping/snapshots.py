"""Snapshots of a running index: taken for whoever asks, or written to its file."""

from __future__ import annotations

import threading
from pathlib import Path

from attrs import frozen

import kato_transport as kt
from kato_transport_kv_events.index import BlockIndex, Snapshot
from kato_transport_kv_events.index.snapshot import write_whole
from kato_transport_kv_events.subscription import KVEventManager


@frozen(kw_only=True)
class Saved:
    """A snapshot that was written."""

    path: str
    bytes: int
    taken_at_s: float


@frozen(kw_only=True)
class SnapshotStats:
    """What became of the snapshots of an index; counts only rise."""

    saves: int
    failures: int
    bytes: int
    """Of the last one written."""
    saved_at_s: float
    """When it was taken, in Unix seconds; 0 before the first."""


class Snapshots:
    """Of one index; may be used by any thread."""

    def __init__(self, index: BlockIndex, manager: KVEventManager, path: Path | None = None) -> None:
        self._index = index
        self._manager = manager
        self._path = path
        self._taking = threading.Lock()
        self._saving = threading.Lock()
        self._saves = self._failures = 0
        self._last: Saved | None = None

    @property
    def has_file(self) -> bool:
        return self._path is not None

    def take(self) -> Snapshot:
        """The index as it is; events wait meanwhile, so one at a time."""
        with self._taking:
            return self._index.snapshot(self._manager)

    def save(self) -> Saved:
        """Write the file; `ServiceError` where there is none, or where it cannot be written."""
        if self._path is None:
            raise kt.ServiceError("this service keeps its index in no file; start it with one", kt.ErrorCode.NOT_FOUND)
        with self._saving:
            snapshot = self.take()
            data = snapshot.to_bytes()
            try:
                write_whole(self._path, data)
            except OSError as exc:
                self._failures += 1
                raise kt.ServiceError(f"{self._path}: {exc.strerror or exc}", kt.ErrorCode.INTERNAL) from exc
            self._saves += 1
            self._last = Saved(path=str(self._path), bytes=len(data), taken_at_s=snapshot.taken_at_s)
            return self._last

    def stats(self) -> SnapshotStats:
        last = self._last
        return SnapshotStats(
            saves=self._saves,
            failures=self._failures,
            bytes=0 if last is None else last.bytes,
            saved_at_s=0.0 if last is None else last.taken_at_s,
        )
