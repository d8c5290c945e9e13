"""Vectors become symbols: the vectors of one observation are summed, and the sum has a name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from hashlib import sha1
from heapq import nsmallest
from operator import add

from attrs import frozen

PREFIX = "VECTOR|"


@frozen
class VectorSum:
    """The sum of one observation's vectors."""

    values: tuple[float, ...]

    @property
    def name(self) -> str:
        """The symbol it stands for."""
        return PREFIX + sha1(str(list(self.values)).encode(), usedforsecurity=False).hexdigest()


def add_up(vectors: Sequence[Sequence[float]]) -> VectorSum:
    """The element-wise sum; `ValueError` where the vectors differ in length or it is beyond a float's range."""
    lengths = sorted({len(vector) for vector in vectors})
    if len(lengths) > 1:
        raise ValueError(f"of one length to be summed, not of {' and '.join(map(str, lengths))}")
    values = tuple(reduce(add, map(float, column)) for column in zip(*vectors, strict=True))
    if not all(map(math.isfinite, values)):
        raise ValueError("small enough for their sum to be a finite number")
    return VectorSum(values)


def nearest(known: Iterable[VectorSum], to: VectorSum, limit: int = 3) -> list[VectorSum]:
    """Up to `limit` of the known sums, by Euclidean distance; sums of another length are no neighbours."""
    comparable = (other for other in known if len(other.values) == len(to.values))
    return nsmallest(limit, comparable, key=lambda other: math.dist(other.values, to.values))
