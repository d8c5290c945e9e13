"""Lines on standard output, by several threads, until nobody reads them any more."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import click

from kato_transport.cli.output import as_json


class Output:
    """One line of JSON for each map; whoever has a line waits while they are held back."""

    def __init__(self, stop: threading.Event, *, held_back: bool = False) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._broken = False
        self._let_go = threading.Event()
        if not held_back:
            self.let_go()

    def let_go(self) -> None:
        """Hold back no line from now on."""
        self._let_go.set()

    def line(self, fields: Mapping[str, Any]) -> None:
        """Print a line; once the reader has gone, as `| head` does, the command is stopped instead."""
        text = as_json(fields)
        self._let_go.wait()
        with self._lock:
            if self._broken:
                return
            try:
                click.echo(text)
            except OSError:
                self._broken = True
                self._stop.set()

    def check(self) -> None:
        """At the end: `BrokenPipeError` where the reader had gone."""
        if self._broken:
            raise BrokenPipeError
