"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click


def as_json(value: Any) -> str:
    """One line of JSON; bytes as `{"hex": …}`, what JSON does not know as its text."""
    return json.dumps(value, ensure_ascii=False, default=_fallback)


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns as wide as their widest cell."""
    texts = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(header))]
    for number, row in enumerate(texts):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def _fallback(value: Any) -> Any:
    return {"hex": value.hex()} if isinstance(value, bytes) else str(value)
