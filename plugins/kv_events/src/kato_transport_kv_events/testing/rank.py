"""One data-parallel rank, for the time of one life: its sockets, its numbers and its buffer."""

from __future__ import annotations

from typing import Final

from kato_transport.zeromq import readable
from kato_transport_kv_events.testing.log import Faults, Log
from kato_transport_kv_events.testing.sockets import Sock, close_bound, close_connected
from kato_transport_kv_events.wire import END

SUBSCRIBED: Final = b"\x01"


class Rank:
    """Publishes, and answers requests for what it published."""

    def __init__(self, live: Sock, replay: Sock | None, log: Log, topic: bytes, replay_has_topic: bool) -> None:
        self.replay = replay
        """Where requests come in, if they may."""
        self._live = live
        self._log = log
        self._topic = topic
        self.replay_has_topic = replay_has_topic
        self._subscriptions = 0

    def publish(self, payload: bytes) -> int:
        """Keep a batch and send it; gives its number."""
        sequence = self._log.add(payload)
        self._live.send_multipart((self._topic, sequence.to_bytes(8, "big"), payload))
        return sequence

    def skip(self, payload: bytes) -> int:
        """Keep a batch and do not send it; gives its number."""
        return self._log.add(payload)

    def subscriptions(self) -> int:
        """How many there are, each topic of a subscriber counted."""
        while readable(self._live):
            self._subscriptions += 1 if self._live.recv().startswith(SUBSCRIBED) else -1
        return self._subscriptions

    def answer(self, faults: Faults) -> None:
        """Take a request and answer it; one without the empty frame is never answered."""
        assert self.replay is not None, "only a socket that is there is asked"
        request = self.replay.recv_multipart()
        if len(request) != 3 or faults.silent:
            return
        identity, empty, start = request
        for sequence, payload in self._log.answer(int.from_bytes(start, "big"), faults):
            topic = [b"" if sequence == END else self._topic] if self.replay_has_topic else []
            self.replay.send_multipart([identity, empty, *topic, sequence, payload])

    def close(self, live_is_bound: bool) -> None:
        """Close the sockets, and wait until their connections have ended, and their ports are free."""
        if live_is_bound:
            close_bound([self._live])
        else:
            close_connected(self._live)
        if self.replay is not None:
            close_bound([self.replay])
