"""Live batches that wait for a replay: bounded, in the order of their arrival, which is that of their numbers."""

from __future__ import annotations


class Held:
    """At most `most_batches` of at most `most_bytes` together."""

    def __init__(self, most_batches: int, most_bytes: int) -> None:
        self._most_batches = most_batches
        self._most_bytes = most_bytes
        self._payloads: dict[int, bytes] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._payloads)

    @property
    def first(self) -> int:
        """The lowest number; -1 for none."""
        return next(iter(self._payloads), -1)

    @property
    def newest(self) -> int:
        """The highest number; -1 for none."""
        return next(reversed(self._payloads), -1)

    def add(self, sequence: int, payload: bytes) -> bool:
        """Keep one that is higher than all others; False where there is no room."""
        if len(self._payloads) >= self._most_batches or self._bytes + len(payload) > self._most_bytes:
            return False
        self._payloads[sequence] = payload
        self._bytes += len(payload)
        return True

    def get(self, sequence: int) -> bytes | None:
        return self._payloads.get(sequence)

    def pop(self, sequence: int) -> bytes:
        payload = self._payloads.pop(sequence)
        self._bytes -= len(payload)
        return payload

    def drop_through(self, sequence: int) -> None:
        """Drop everything up to a number, itself included."""
        while self._payloads and self.first <= sequence:
            self.pop(self.first)

    def take_all(self) -> list[tuple[int, bytes]]:
        taken = list(self._payloads.items())
        self.clear()
        return taken

    def clear(self) -> None:
        self._payloads.clear()
        self._bytes = 0
