"""Emotives: named feelings, averaged key by key over whatever had that key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

Emotives = Mapping[str, float]

Totals = Mapping[str, tuple[float, int]]
"""Sum and count of each key: all that a mean needs, however many emotives went into it."""


def add(totals: Totals, emotives: Emotives) -> Totals:
    """The totals with one more set of emotives in them."""
    if not emotives:
        return totals
    grown = dict(totals)
    for key, value in emotives.items():
        total, count = grown.get(key, (0.0, 0))
        grown[key] = (total + value, count + 1)
    return grown


def mean(totals: Totals) -> dict[str, float]:
    """Each key's mean."""
    return {key: total / count for key, (total, count) in totals.items()}


def average(window: Iterable[Emotives]) -> dict[str, float]:
    """Each key's mean over the emotives that have it."""
    start: Totals = {}
    return mean(reduce(add, window, start))
