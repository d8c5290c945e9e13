"""What the state machine of a source asks its shell to do, in the order in which it has to be done."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen


class Reason(StrEnum):
    """Why a source's blocks are forgotten."""

    RESTARTED = "restarted"
    """The engine began anew, with an empty cache."""
    LOST = "lost"
    """Batches are missing for good, and the policy is `drop`."""
    UNVERIFIED = "unverified"
    """A connection came back and nothing can tell whether the engine behind it is still the same; the policy is `drop`."""
    RESYNC = "resync"
    """Everything is about to come again, from an earlier number than it was known from."""


@frozen
class Apply:
    """Decode the batch, hand on its events, and report what was wrong with it."""

    sequence: int
    payload: bytes


@frozen
class Begin:
    """An engine's life is followed from the batch of this number on; 0 means from its beginning."""

    sequence: int


@frozen
class Forget:
    """Whatever the source held is gone, or cannot be relied upon: a new generation begins."""

    reason: Reason
    last: int
    """The last batch of what is forgotten."""


@frozen
class Lost:
    """Batches are missing for good."""

    first: int
    last: int | None
    """None where nobody can tell how many they are, or whether there are any."""
    kept: bool
    """Whether blocks of before were kept, of which some may be gone by now."""


@frozen
class Ask:
    """Ask the replay endpoint, on a new socket, for everything from a number on; a round still under way is over."""

    start: int


@frozen
class Quit:
    """Close the replay socket: its answer is not waited for any more."""


@frozen
class Note:
    """Something an operator should read in the log."""

    text: str


Action = Apply | Begin | Forget | Lost | Ask | Quit | Note
