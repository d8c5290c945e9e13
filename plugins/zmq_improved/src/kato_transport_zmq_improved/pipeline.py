"""Many requests through one channel: a window of them in flight, each answer making room for the next request."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from kato_transport import ClientOptions, Request, Response, TransportError
from kato_transport.errors import CallTimeout, ConnectionLost, LocalProtocolError
from kato_transport.protocol.correlation import CorrelationIds, InFlight
from kato_transport.wire import decode_response, encode_request
from kato_transport.zeromq import Channel

WINDOW = 64
"""Requests in flight at once: enough to hide the round trip, few enough to leave a server's queue to others."""


class Pipeline:
    """Runs once. Every request gets an outcome: its answer, or the error that took its place."""

    def __init__(self, channel: Channel, options: ClientOptions, ids: CorrelationIds, requests: Sequence[Request]) -> None:
        self._channel = channel
        self._codec = options.codec
        self._limit = options.max_message_bytes
        self._ids = ids
        self._requests = requests
        self._unsent: Iterator[int] = iter(range(len(requests)))
        self._in_flight: InFlight[int] = InFlight()
        self._outcomes: list[Response | Exception] = [ConnectionLost("not asked")] * len(requests)

    def run(self) -> list[Response | Exception]:
        """The outcomes, in the order of the requests."""
        self._fill_window()
        while len(self._in_flight):
            self._take_one()
            self._fill_window()
        return self._outcomes

    def _fill_window(self) -> None:
        while len(self._in_flight) < WINDOW and (index := next(self._unsent, None)) is not None:
            try:
                self._send(index)
            except LocalProtocolError as exc:
                self._outcomes[index] = exc
            except TransportError as exc:
                self._fail([index, *self._unsent], exc)

    def _send(self, index: int) -> None:
        if self._channel.broke():
            self._lose("the connection broke after sending; it may have run")
        request = self._requests[index]
        correlation = self._ids.next()
        self._channel.send(request, correlation, encode_request(self._codec, request, self._limit))
        self._last, self._deadline = request, time.monotonic() + request.timeout_s
        self._in_flight.add(correlation, self._deadline, index)

    def _take_one(self) -> None:
        try:
            frames = self._channel.receive(self._last, self._deadline)
        except CallTimeout as exc:
            for index in self._in_flight.abandoned():
                request = self._requests[index]
                self._outcomes[index] = CallTimeout(request.method, request.timeout_s, exc.endpoint)
            return
        except ConnectionLost as exc:
            self._fail(self._in_flight.abandoned(), exc)
            return
        if len(frames) < 2:
            self._lose("a server without correlation ids took over; ask again")
            return
        answered = self._in_flight.answered(frames[0])
        if answered is not None:
            self._outcomes[answered] = self._decoded(frames[-1])

    def _decoded(self, message: bytes) -> Response | Exception:
        try:
            return decode_response(self._codec, message)
        except TransportError as exc:
            return exc

    def _lose(self, why: str) -> None:
        for index in self._in_flight.abandoned():
            self._outcomes[index] = ConnectionLost(f"{self._requests[index].method}: {why}")

    def _fail(self, indexes: Sequence[int], error: Exception) -> None:
        for index in indexes:
            self._outcomes[index] = error
