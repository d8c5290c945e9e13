"""What one rank has published, and what it answers to whoever asks for it again. No sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from attrs import frozen

from kato_transport_kv_events.wire import END


@frozen(kw_only=True)
class Faults:
    """What is wrong with the replay socket, on purpose."""

    silent: bool = False
    """It takes requests and never answers."""
    no_end: bool = False
    """Answers come without the end marker."""
    holes: frozenset[int] = frozenset()
    """Batches that answers leave out."""


class Log:
    """The batches of one life of a rank; of the latest, as many as the buffer keeps."""

    def __init__(self, buffer_steps: int) -> None:
        self._next = 0
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=buffer_steps)

    def add(self, payload: bytes) -> int:
        """Keep a batch; gives its number."""
        sequence = self._next
        self._kept.append((sequence, payload))
        self._next += 1
        return sequence

    def answer(self, start: int, faults: Faults) -> Iterator[tuple[bytes, bytes]]:
        """Number and payload of every batch kept from `start` on, and of the end."""
        for sequence, payload in self._kept:
            if sequence >= start and sequence not in faults.holes:
                yield sequence.to_bytes(8, "big"), payload
        if not faults.no_end:
            yield END, b""
