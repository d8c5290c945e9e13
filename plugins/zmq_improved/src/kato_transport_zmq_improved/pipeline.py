"""Many requests through one channel: a window of them in flight, each answer making room for the next request."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from kato_transport import ClientOptions, Request, Response, TransportError
from kato_transport.contracts import WINDOW
from kato_transport.errors import CallTimeout, ConnectFailed, ConnectionLost, LocalProtocolError
from kato_transport.protocol.correlation import CorrelationIds, InFlight
from kato_transport.zeromq import Channel
from kato_transport_zmq_improved.framing import request_frames, response_in
from kato_transport_zmq_improved.negotiation import Abilities, refuses_correlation

Outcome = Response | Exception

BURST = 16
"""Answers taken in a row, at most, before the window is filled again."""


class OldServerTookOver(Exception):
    """Answers without correlation came: the server there now could not read the requests."""


class Pipeline:
    """Gives every request its outcome: the answer, or the error that took its place."""

    def __init__(self, options: ClientOptions, ids: CorrelationIds, requests: Sequence[Request]) -> None:
        self._codec = options.codec
        self._limit = options.max_message_bytes
        self._ids = ids
        self._requests = requests
        self._outcomes: dict[int, Outcome] = {}
        self._in_flight: InFlight[int] = InFlight()
        self._unsent = deque(range(len(requests)))

    @property
    def next_request(self) -> Request | None:
        """The first request that has not been sent; None once all are."""
        return self._requests[self._unsent[0]] if self._unsent else None

    @property
    def unsent(self) -> int:
        """How many requests have neither been sent nor settled."""
        return len(self._unsent)

    def outcomes(self) -> list[Outcome]:
        """In the order of the requests; to be asked for once there is no next request."""
        return [self._outcomes[index] for index in range(len(self._requests))]

    def run(self, channel: Channel, server: Abilities) -> None:
        """Go on until all is answered. Where the channel is of no more use, what is in flight has that as its outcome, the
        error is raised, and another channel may take what is unsent."""
        try:
            self._fill_window(channel, server)
            while len(self._in_flight):
                self._take_some(channel)
                self._fill_window(channel, server)
        except OldServerTookOver:
            self._settle_in_flight(ConnectionLost("a server without correlation ids took over; ask again"))
            raise
        except ConnectFailed:
            self._settle_in_flight(ConnectionLost("the connection broke after sending; it may have run"))
            raise
        except TransportError as exc:
            self._settle_in_flight(exc)
            raise

    def settle_rest(self, outcome: Outcome) -> None:
        """Give what is unsent this outcome."""
        while self._unsent:
            self.settle_next(outcome)

    def settle_next(self, outcome: Outcome) -> None:
        """Give the next request its outcome, however that came about."""
        self._outcomes[self._unsent.popleft()] = outcome

    def _fill_window(self, channel: Channel, server: Abilities) -> None:
        while self._unsent and len(self._in_flight) < WINDOW:
            request = self._requests[self._unsent[0]]
            try:
                frames = request_frames(self._codec, request, self._limit, server)
            except LocalProtocolError as exc:
                self.settle_next(exc)
                continue
            correlation = self._ids.next()
            channel.send(request, correlation, *frames)
            self._last, self._deadline = request, time.monotonic() + request.timeout_s
            self._in_flight.add(correlation, self._deadline, self._unsent.popleft())

    def _take_some(self, channel: Channel) -> None:
        """What is there, but not all: a request sent by itself wakes more threads than one in a burst."""
        self._take_one(channel)
        for _ in range(BURST - 1):
            if not (len(self._in_flight) and channel.has_answer()):
                return
            self._take_one(channel)

    def _take_one(self, channel: Channel) -> None:
        try:
            frames = channel.receive(self._last, self._deadline)
        except CallTimeout as exc:
            for index in self._in_flight.abandoned():
                late = self._requests[index]
                self._outcomes[index] = CallTimeout(late.method, late.timeout_s, exc.endpoint)
            silence = f"{exc.endpoint} has answered nothing for {exc.timeout_s:g} s; not sent"
            self.settle_rest(ConnectFailed(silence))
            return
        if len(frames) < 2 and refuses_correlation(self._codec, frames[0]):
            raise OldServerTookOver
        answered = self._in_flight.answered(frames[0])
        if answered is not None:
            self._outcomes[answered] = self._decoded(frames)

    def _settle_in_flight(self, outcome: Outcome) -> None:
        for index in self._in_flight.abandoned():
            self._outcomes[index] = outcome

    def _decoded(self, frames: list[bytes]) -> Outcome:
        try:
            return response_in(self._codec, frames, self._limit)
        except TransportError as exc:
            return exc
