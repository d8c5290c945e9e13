"""Times in options: `FloatRange` alone takes `nan`, and what is longer than any thread can wait."""

from __future__ import annotations

import math
import threading
from typing import Any

import click


class Seconds(click.FloatRange):
    """From 0 on; with `min_open`, more than 0."""

    def __init__(self, *, min_open: bool = False) -> None:
        super().__init__(min=0, max=threading.TIMEOUT_MAX, min_open=min_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return number
