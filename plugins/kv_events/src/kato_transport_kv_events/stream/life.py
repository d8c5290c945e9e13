"""One life of an engine, as far as it has been applied: what came last, and what becomes of batches that are missing."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from kato_transport_kv_events.stream.actions import Action, Apply, Begin, Forget, Lost, Reason
from kato_transport_kv_events.stream.anchor import Anchor
from kato_transport_kv_events.stream.counts import Counts
from kato_transport_kv_events.stream.settings import Policy


@frozen(kw_only=True)
class Checkpoint:
    """What a snapshot keeps of a source, beside its blocks: where it stood, and how far it could be relied upon."""

    sequence: int
    """The last batch applied."""
    digest: str
    """Of its payload."""
    complete: bool
    sound: bool


class Life:
    """Emits what is to be done to what the source holds."""

    def __init__(self, emit: Callable[[Action], None], counts: Counts, policy: Policy, restored: Checkpoint | None) -> None:
        self._emit = emit
        self._counts = counts
        self._policy = policy
        self.last = -1
        """The last batch applied; -1 before the first."""
        self.payload = b""
        self.filled = False
        """Whether anything was applied that has not been forgotten since."""
        self.since = 0
        """The first batch of what is held."""
        self.replayed_to = -1
        """The last batch that came by replay."""
        self._digest = ""
        self._begun = False
        if restored is not None:
            self.last, self._digest = restored.sequence, restored.digest
            self.filled = self._begun = True

    @property
    def next(self) -> int:
        return self.last + 1

    @property
    def anchor(self) -> Anchor | None:
        """The batch to recognise this life by; None before the first."""
        return None if self.last < 0 else Anchor(self.last, self.payload, self._digest)

    def begin(self, sequence: int) -> None:
        """Follow the life from a number on; does nothing for one that is followed already."""
        if not self._begun:
            self._begun = True
            self._emit(Begin(sequence))

    def apply(self, sequence: int, payload: bytes, *, replayed: bool = False) -> None:
        self.begin(sequence)
        if not self.filled:
            self.filled, self.since = True, sequence
        if replayed:
            self.replayed_to = sequence
        self.last = sequence
        self.seen(payload)
        self._emit(Apply(sequence, payload))

    def seen(self, payload: bytes) -> None:
        """What the last batch's payload is, where only its digest was known."""
        self.payload, self._digest = payload, ""

    def lose_through(self, sequence: int) -> None:
        """Everything between what came last and this number, itself included, is missing for good."""
        kept = self.filled and self._policy is Policy.KEEP
        self._counts.lost += sequence - self.last
        self._emit(Lost(self.next, sequence, kept))
        if not kept:
            self._forget(Reason.LOST)

    def unverified(self) -> None:
        """Something may be missing, or all of it may be another life's, and nothing can tell."""
        kept = self.filled and self._policy is Policy.KEEP
        self._emit(Lost(self.next, None, kept))
        if not kept:
            self._forget(Reason.UNVERIFIED)
        if self.last < 0:
            self._begun = False

    def end(self, reason: Reason) -> None:
        """Forget all of it; another life, or the same from its beginning, is about to begin."""
        self._forget(reason)
        self.last = self.replayed_to = -1
        self.payload = b""
        self._begun = False

    def _forget(self, reason: Reason) -> None:
        if self.filled:
            self.filled = False
            self._counts.forgotten += 1
            self._emit(Forget(reason, self.last))
