"""What is measured: how many call how much at once, and which figure decides."""

from __future__ import annotations

from typing import Final, Literal

from attrs import frozen

from bench.rpc.driver.payload import SMALL

KIB, MIB = 1024, 1024 * 1024


@frozen
class Case:
    name: str
    title: str
    figure: Literal["p50_us", "per_s"] = "p50_us"
    """The one that ratios are of."""
    method: str = "echo"
    size: int = SMALL
    threads: int = 1
    in_flight: int = 1
    """Per thread."""
    processes: int = 1
    longer: float = 1.0
    """Times as long a turn, where calls take long."""


CASES: Final = (
    Case("one", "one client, one call at a time"),
    Case("threads", "8 threads", "per_s", threads=8),
    Case("flight", "64 in flight", "per_s", in_flight=64),
    Case("processes", "4 client processes", "per_s", processes=4),
    Case("sleep", "a handler that sleeps 2 ms, 64 in flight", "per_s", method="nap", in_flight=64, longer=2.0),
    Case("10KB", "10 KB of bytes each way", size=10 * KIB),
    Case("1MB", "1 MB of bytes each way", size=MIB),
    Case("10MB", "10 MB of bytes each way", size=10 * MIB, longer=2.0),
)
