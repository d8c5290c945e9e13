"""Plain data: what JSON carries and brings back unchanged, so that it can be kept in a file and answered to anyone."""

from __future__ import annotations

import json
from typing import Any


def plain_copy(value: Any) -> Any:
    """A copy that shares nothing with `value`; `ValueError` where it is not plain data."""
    try:
        copied = json.loads(json.dumps(value, allow_nan=False))
        same = copied == value
    except (TypeError, ValueError, RecursionError) as exc:
        raise ValueError(f"not plain JSON data: {exc}") from exc
    if not same:
        raise ValueError("not plain JSON data: its keys must be strings, and its sequences lists")
    return copied
