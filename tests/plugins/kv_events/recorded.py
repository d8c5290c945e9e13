"""What real publishers sent, from `captures/`: its README says how each folder came about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgpack

CAPTURES = Path(__file__).parent / "captures"
FOLDERS = sorted(path.name for path in CAPTURES.iterdir() if path.is_dir())
END = b"\xff" * 8


class Message(NamedTuple):
    """A message of the live socket."""

    topic: bytes
    sequence: int
    payload: bytes


class Replay(NamedTuple):
    """A request for a replay, and all that came back, the end marker included."""

    request: list[bytes]
    replies: list[list[bytes]]


def live(folder: str) -> dict[str, list[Message]]:
    """By file, which is by rank where there are several."""
    return {path.name: [Message(*message) for message in _load(path)] for path in _files(folder, "live")}


def replays(folder: str) -> dict[str, Replay]:
    """By file."""
    return {path.name: Replay(*_load(path)) for path in _files(folder, "replay")}


def expected(folder: str) -> Any:
    """What an independent script made of the same frames."""
    return json.loads((CAPTURES / folder / "expected.json").read_text(), object_hook=_bytes)


def payloads(*folders: str) -> list[bytes]:
    """Every payload of some folders, or of all."""
    return [message.payload for folder in folders or FOLDERS for messages in live(folder).values() for message in messages]


def _files(folder: str, prefix: str) -> list[Path]:
    return sorted((CAPTURES / folder).glob(f"{prefix}*.msgpack"))


def _load(path: Path) -> Any:
    return msgpack.unpackb(path.read_bytes())


def _bytes(pairs: dict[str, Any]) -> Any:
    return bytes.fromhex(pairs["hex"]) if pairs.keys() == {"hex"} else pairs
