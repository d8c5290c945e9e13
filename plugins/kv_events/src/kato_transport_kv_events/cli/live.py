"""The live view: a table of sources in the terminal, what it comes to, and what happened last. Needs rich."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from kato_transport_kv_events.cli.happenings import Happening, Progress
from kato_transport_kv_events.cli.view import HEADER, View, size
from kato_transport_kv_events.subscription import KVEventManager

LOOK_S: Final = 0.5
RECENT: Final = 8
HEAD: Final = ("type", "pod", "rank", "ts")
STYLES: Final = {
    "exact": "green",
    "partial": "cyan",
    "syncing": "yellow",
    "degraded": "red",
    "stale": "red",
    "connecting": "dim",
}


class Sized(Protocol):
    """What an index tells of its size."""

    @property
    def blocks(self) -> int: ...
    @property
    def bytes(self) -> int: ...


class Counted(Protocol):
    """An index."""

    def stats(self) -> Sized: ...


class LiveView:
    """Looks at a manager and its index twice a second."""

    def __init__(self, manager: KVEventManager, index: Counted, recent: deque[Happening]) -> None:
        self._manager = manager
        self._index = index
        self._recent = recent
        self._view = View()
        self._progress = Progress()

    def show_until(self, stop: threading.Event) -> None:
        """Show it in the terminal until something stops it."""
        console = Console()
        with _log_above(console), Live(self._drawn(), console=console, auto_refresh=False) as live:
            while not stop.wait(LOOK_S):
                live.update(self._drawn(), refresh=True)

    def _drawn(self) -> Group:
        stats = self._manager.stats()
        self._recent.extend(self._progress.since_last(stats))
        rows = self._view.rows(time.monotonic(), stats)
        table = Table(*HEADER, box=None, header_style="bold", pad_edge=False)
        for row in rows:
            table.add_row(*(_cell(heading, text) for heading, text in zip(HEADER, row.cells, strict=True)))
        index = self._index.stats()
        speed = sum(row.events_per_s for row in rows)
        total = f"{len(rows)} sources   {speed:,.0f} events/s   index: {index.blocks:,} blocks, about {size(index.bytes)}"
        return Group(table, Text(f"\n{total}\n", style="bold"), *map(_told, list(self._recent)))


def _cell(heading: str, text: str) -> Text:
    return Text(text, style=STYLES[text] if heading == "state" else "")


def _told(happening: Happening) -> Text:
    at = time.strftime("%H:%M:%S", time.localtime(happening["ts"]))
    what = happening.get("state") or ", ".join(
        f"{name} {value}" for name, value in happening.items() if name not in HEAD and value
    )
    return Text(f"{at}  {happening['pod']} rank {happening['rank']}  {happening['type']}  {what}", style="dim")


@contextmanager
def _log_above(console: Console) -> Iterator[None]:
    """Warnings go above the view, not through it."""
    handler = RichHandler(logging.WARNING, console, show_path=False)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
