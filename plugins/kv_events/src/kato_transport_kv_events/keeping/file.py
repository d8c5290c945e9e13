"""An index kept in a file: a process begins with what the one before left there, and saves its own."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import kato_transport as kt
from kato_transport_kv_events.index import BlockIndex, Snapshot
from kato_transport_kv_events.keeping.snapshots import Snapshots
from kato_transport_kv_events.stream import State

log = logging.getLogger("kato_transport.kv_events")


def restored(path: Path, index: BlockIndex) -> Snapshot | None:
    """The snapshot that a file holds, put into an index; none where there is no file, or one that cannot be read.

    What it holds is `stale` until its source is followed; what no engine could confirm is left out. `InvalidSetting` where
    there could be no such file.
    """
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise kt.InvalidSetting(f"{path}: there a file cannot be written; expected a path in a folder that can be written to")
    try:
        snapshot = Snapshot.load(path)
    except FileNotFoundError:
        log.info("%s is not there yet; beginning with an empty index", path)
        return None
    except (OSError, kt.DecodeError) as exc:
        log.warning("%s cannot be used, beginning with an empty index: %s", path, exc)
        return None
    index.restore(snapshot)
    for row in snapshot.rows.sources:
        if (row.pod, row.rank) in snapshot.checkpoints:
            index.source_changed(row.pod, row.rank, "", State.STALE)
        else:
            index.source_removed(row.pod, row.rank)
    log.info("%s: an index of %d blocks, to be confirmed by its engines", path, index.stats().blocks)
    return snapshot


class Keeping:
    """Has an index saved every so often, and at its end; `interval_s` of 0: only then."""

    def __init__(self, snapshots: Snapshots, interval_s: float) -> None:
        self._snapshots = snapshots
        self._interval_s = interval_s or None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kato-kv-snapshots", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Save it once more; idempotent."""
        if not self._ending.is_set():
            self._ending.set()
            self._thread.join()
            self._save()

    def _run(self) -> None:
        while not self._ending.wait(self._interval_s):
            self._save()

    def _save(self) -> None:
        try:
            saved = self._snapshots.save()
        except kt.ServiceError as exc:
            log.error("the index could not be saved: %s", exc)
        else:
            log.info("the index was saved: %s, %d bytes", saved.path, saved.bytes)
