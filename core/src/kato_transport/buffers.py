"""Large bytes beside a message, in frames of their own, for transports whose messages have frames.

The values concerned are those at the top of a map: a request's params, an answer's fields. The message tells their names, in
the order of their frames, so neither codec nor copies stand between the sender's memory and the receiver's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEAST_BYTES = 256 * 1024
"""Smaller ones travel in the message; the handling of one more frame would cost more than it saves."""

MOST = 64
"""Buffers of one message."""

KINDS = frozenset({bytes, bytearray, memoryview})
"""What a map has to hold before it is worth a closer look."""


class Mismatch(Exception):
    """Names and frames that do not go together; `str` of it says what is wrong."""


def set_apart(fields: dict[str, Any], frames: list[bytes]) -> tuple[dict[str, Any], list[str]]:
    """The fields that stay in the message, and the names of those whose bytes were added to `frames`.

    What its owner may change while it is under way is copied.
    """
    names = [name for name, value in fields.items() if type(value) in KINDS and _size(value) >= LEAST_BYTES][:MOST]
    if not names:
        return fields, names
    frames += [value if type(value) is bytes else bytes(value) for value in map(fields.__getitem__, names)]
    return {name: value for name, value in fields.items() if name not in names}, names


def checked(names: Any, fields: Mapping[Any, Any]) -> list[str]:
    """The names that a message gives to its buffers; `Mismatch` where they cannot be that, or fields have them already."""
    if not isinstance(names, list) or len(names) > MOST or not all(type(name) is str for name in names):
        raise Mismatch(f"buffers must be a list of at most {MOST} names, not {told(names)}")
    if len(set(names)) < len(names):
        raise Mismatch("buffers names one twice")
    taken = [name for name in names if name in fields]
    if taken:
        raise Mismatch(f"{told(taken[0])} is in the message, and a buffer as well")
    return names


def told(value: Any) -> str:
    """What came in place of something else, in a few words, and without looking through it: it may be of any size and depth."""
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value[:60] if isinstance(value, (str, bytes)) else value)[:60]


def _size(value: bytes | bytearray | memoryview) -> int:
    return value.nbytes if isinstance(value, memoryview) else len(value)
