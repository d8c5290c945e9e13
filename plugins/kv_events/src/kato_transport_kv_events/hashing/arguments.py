"""What callers hand in, checked before anything is hashed: a wrong hash looks like a cache miss, and nobody would notice."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Literal

from kato_transport.errors import InvalidSetting

WIDTHS = {"q": "-2**63 and 2**63 - 1", "I": "0 and 2**32 - 1"}


def at_least(least: int, name: str, value: int) -> int:
    """A whole number; `InvalidSetting` where it is none, or too small."""
    if not isinstance(value, int) or value < least:
        raise InvalidSetting(f"{name} must be a whole number of at least {least}, not {value!r}")
    return value


def text(name: str, value: str | None) -> str | None:
    """Text, or None; `InvalidSetting` where it is neither."""
    if value is not None and not isinstance(value, str):
        raise InvalidSetting(f"{name} must be text or None, not {value!r}")
    return value


def packed(token_ids: Sequence[int], typecode: Literal["q", "I"]) -> array[int]:
    """Token ids side by side, whatever kind of integer they were; `InvalidSetting` where they are none."""
    if isinstance(token_ids, (bytes, bytearray, str)):  # `array` would take bytes for integers already packed
        raise InvalidSetting(f"token_ids must be a sequence of integers, not {type(token_ids).__name__}")
    try:
        return array(typecode, token_ids)
    except TypeError as exc:
        raise InvalidSetting("token_ids must be a flat sequence of integers; pairs are made of them by the hash") from exc
    except OverflowError as exc:
        raise InvalidSetting(f"token_ids must lie between {WIDTHS[typecode]}") from exc
