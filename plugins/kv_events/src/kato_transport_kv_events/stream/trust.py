"""How far a source can be relied upon: whether anything is missing, and whether anything is there that should not be.

Both follow from the actions that the shell has carried out and from what it reports about batches, in that order.
"""

from __future__ import annotations

from enum import Enum, StrEnum, auto
from typing import Final

from attrs import define

from kato_transport_kv_events.stream.actions import Action, Begin, Forget, Lost


class State(StrEnum):
    """What a source's blocks are worth to whoever asks."""

    CONNECTING = "connecting"
    """Nothing has been heard yet."""
    SYNCING = "syncing"
    """A replay is under way; live batches wait for it."""
    EXACT = "exact"
    """Every batch of the engine's life has been applied in order."""
    PARTIAL = "partial"
    """Nothing is there that the engine does not have; something may be missing."""
    DEGRADED = "degraded"
    """Removals may be missing: something may be there that the engine does not have any more."""
    STALE = "stale"
    """The engine has not been heard for too long."""


class Flaw(Enum):
    """What was wrong with a batch, or happened to what came of it."""

    BATCH = auto()
    """It could not be decoded at all."""
    STORED = auto()
    """An event that stores blocks could not be decoded."""
    REMOVED = auto()
    """An event that removes blocks could not be decoded."""
    EVICTED = auto()
    """Blocks were given up to keep to a bound of our own."""


ENDS_COMPLETENESS: Final = frozenset({Flaw.BATCH, Flaw.STORED, Flaw.EVICTED})
ENDS_SOUNDNESS: Final = frozenset({Flaw.BATCH, Flaw.REMOVED})


@define
class Trust:
    """`complete`: nothing resident is missing. `sound`: nothing indexed is gone. Nothing known is sound, not complete."""

    complete: bool = False
    sound: bool = True

    def follow(self, action: Action) -> None:
        match action:
            case Begin(sequence):
                self.complete = sequence == 0
            case Lost(_, _, kept):
                self.complete = False
                self.sound = self.sound and not kept
            case Forget():
                self.complete, self.sound = False, True

    def flawed(self, flaw: Flaw) -> None:
        self.complete = self.complete and flaw not in ENDS_COMPLETENESS
        self.sound = self.sound and flaw not in ENDS_SOUNDNESS

    def cleared(self) -> None:
        """The engine's cache is empty, and so is ours: whatever was wrong before is of no account."""
        self.complete = self.sound = True

    def state(self) -> State:
        if not self.sound:
            return State.DEGRADED
        return State.EXACT if self.complete else State.PARTIAL
