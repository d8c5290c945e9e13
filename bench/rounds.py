"""How subjects are compared: they take turns in rounds, and figures of the same round make a ratio.

A noisy moment hits all subjects of its round, so that the ratio stays; the median of the rounds is the result.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Self

from attrs import frozen


def rounds(count: int, last_after_s: float = float("inf")) -> Iterator[int]:
    """The numbers of rounds; none begins later than that, but the first, and then it is said how many there were."""
    began = time.monotonic()
    for number in range(count):
        if number and time.monotonic() - began > last_after_s:
            print(f"{number} of {count} rounds in {last_after_s:,.0f} s, and no more", file=sys.stderr)
            return
        yield number


def quantile(ordered: Sequence[float], part: float) -> float:
    """Of figures in order: the least that is not below that part of them."""
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


@frozen
class Ratio:
    """Of a subject's figures to another's of the same rounds: the median, and between which all of them lie."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Sequence[float], others: Sequence[float]) -> Self | None:
        """None where either has no figures; they must be of the same rounds."""
        if not figures or not others:
            return None
        each = [one / other for one, other in zip(figures, others, strict=True)]
        return cls(statistics.median(each), min(each), max(each))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"
