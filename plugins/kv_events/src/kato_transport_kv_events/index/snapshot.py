"""Snapshots: an index in a file, with where each source stood, so that a process that begins anew need not begin empty.

A file is `KATOKV`, the format's version in two bytes, MessagePack, and 16 bytes of BLAKE2b over all of that. A source's
`Checkpoint` goes to `KVEventManager.add_source`, which has the engine confirm it, or has the index forget the source.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Self

from attrs import asdict, frozen
from msgspec import MsgspecError, Struct, msgpack

from kato_transport import DecodeError
from kato_transport_kv_events.index.rows import Rows
from kato_transport_kv_events.stream.life import Checkpoint

MAGIC: Final = b"KATOKV"
VERSION: Final = 1
CHECKSUM_BYTES: Final = 16


class CheckpointRow(Struct, frozen=True):
    pod: str
    rank: int
    sequence: int
    digest: str
    complete: bool
    sound: bool


class Document(Struct, frozen=True):
    taken_at_s: float
    checkpoints: list[CheckpointRow]
    rows: Rows


@frozen(kw_only=True)
class Snapshot:
    """An index at one moment between two batches."""

    taken_at_s: float
    """Seconds since 1970."""
    checkpoints: Mapping[tuple[str, int], Checkpoint]
    """By pod and rank; sources that had applied nothing have none."""
    rows: Rows

    @classmethod
    def taken(cls, checkpoints: Mapping[tuple[str, int], Checkpoint], rows: Rows) -> Self:
        return cls(taken_at_s=time.time(), checkpoints=dict(checkpoints), rows=rows)

    def of_pod(self, pod: str) -> dict[int, Checkpoint]:
        """The checkpoints of a pod's ranks, as `add_source` takes them."""
        return {rank: checkpoint for (name, rank), checkpoint in self.checkpoints.items() if name == pod}

    def to_bytes(self) -> bytes:
        checkpoints = [CheckpointRow(pod, rank, **asdict(point)) for (pod, rank), point in self.checkpoints.items()]
        document = Document(self.taken_at_s, checkpoints, self.rows)
        data = MAGIC + VERSION.to_bytes(2, "big") + msgpack.encode(document)
        return data + _checksum(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """`DecodeError` where it is none, is cut off or changed, or is of another version."""
        if data[: len(MAGIC)] != MAGIC:
            raise _unreadable(data, "it does not begin with KATOKV")
        start = len(MAGIC) + 2
        version = int.from_bytes(data[len(MAGIC) : start], "big")
        if version != VERSION:
            raise _unreadable(data, f"it is of version {version}, and this reads version {VERSION}")
        if len(data) < start + CHECKSUM_BYTES or _checksum(data[:-CHECKSUM_BYTES]) != data[-CHECKSUM_BYTES:]:
            raise _unreadable(data, "its checksum is another: it was cut off or changed")
        try:
            document = msgpack.decode(memoryview(data)[start:-CHECKSUM_BYTES], type=Document)
        except (MsgspecError, ValueError, RecursionError) as exc:
            raise _unreadable(data, str(exc)) from exc
        points = {(row.pod, row.rank): _checkpoint(row) for row in document.checkpoints}
        return cls(taken_at_s=document.taken_at_s, checkpoints=points, rows=document.rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, whole or not at all; `OSError` where it cannot be written."""
        write_whole(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file; `OSError` where it cannot be read, `DecodeError` where it is no snapshot."""
        return cls.from_bytes(Path(path).read_bytes())


def write_whole(path: Path, data: bytes) -> None:
    """Write beside the file and put it in its place once it is safe on the disk."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _checksum(data: Any) -> bytes:
    return blake2b(data, digest_size=CHECKSUM_BYTES).digest()


def _checkpoint(row: CheckpointRow) -> Checkpoint:
    return Checkpoint(sequence=row.sequence, digest=row.digest, complete=row.complete, sound=row.sound)


def _unreadable(data: bytes, why: str) -> DecodeError:
    return DecodeError("a snapshot of an index", data[:8], why, len(data))
