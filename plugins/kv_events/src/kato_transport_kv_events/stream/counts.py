"""What a source's state machine counts: plain integers, read when somebody asks for them."""

from __future__ import annotations

from attrs import define


@define
class Counts:
    requests: int = 0
    """Requests to the replay endpoint."""
    answers: int = 0
    """Answers that came to their end."""
    unanswered: int = 0
    """Requests without an answer, or with one that stopped before its end."""
    gaps: int = 0
    """Times that live numbers left some out."""
    gap_batches: int = 0
    """Batches that they left out, recovered or not."""
    lost: int = 0
    """Batches missing for good, as far as they can be numbered."""
    restarts: int = 0
    """Times that the engine began anew."""
    forgotten: int = 0
    """Times that what the source held was given up, for whatever reason."""
    overlaps: int = 0
    """Live batches that a replay had brought already."""
    duplicates: int = 0
    """Live batches that came twice."""
    falls: int = 0
    """Times that live numbers fell within a connection."""
    overflows: int = 0
    """Times that too many live batches waited, and were thrown away to be asked for again."""
