"""The batch by which an engine's life is recognised: its number and its payload.

A living engine always still has its last batch, so asking for it tells whether it is the same life: a restarted engine has
another payload under that number (the time in it alone makes it differ), or no such number yet.
"""

from __future__ import annotations

from hashlib import blake2b

from attrs import frozen


def digest_of(payload: bytes) -> str:
    """A payload's fingerprint, as snapshots keep it."""
    return blake2b(payload, digest_size=16).hexdigest()


@frozen
class Anchor:
    """A batch's number with its payload, or with only the payload's digest where it comes from a snapshot."""

    sequence: int
    payload: bytes = b""
    digest: str = ""

    def is_of(self, payload: bytes) -> bool:
        """Whether this is the payload."""
        return digest_of(payload) == self.digest if self.digest else payload == self.payload

    def fingerprint(self) -> str:
        return self.digest or digest_of(self.payload)
