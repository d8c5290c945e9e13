"""The connection for threads: a DEALER per call under way, and a companion on the shared loop.

A socket per call under way is the fastest design that was measured: one socket shared with a thread of its own costs
half as much again in latency, and nearly half of the threaded throughput (performance, "Client designs").
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import zmq

from kato_transport import ClientOptions, Request, Response, TransportError
from kato_transport import fork as forks
from kato_transport.errors import CallTimeout, ClientClosed, ConnectionLost
from kato_transport.protocol.correlation import CorrelationIds
from kato_transport.zeromq import Channel, ChannelPool
from kato_transport_zmq_improved.companion import Companion
from kato_transport_zmq_improved.framing import request_frames, response_in
from kato_transport_zmq_improved.negotiation import NONE, PING, Abilities, abilities, refuses_correlation
from kato_transport_zmq_improved.pipeline import OldServerTookOver, Pipeline


class ImprovedConnection:
    """Safe to be shared by threads, and usable in a forked child."""

    def __init__(self, endpoint: str, options: ClientOptions) -> None:
        self._endpoint = endpoint
        self._options = options
        self._codec = options.codec
        self._limit = options.max_message_bytes
        self._closed = False
        self._pool = ChannelPool(lambda: Channel(zmq.DEALER, endpoint, options), options.max_connections, endpoint)
        self._lock = threading.Lock()
        self._ids = CorrelationIds()
        self._server: Abilities | None = None
        try:
            self._companion: Companion | None = Companion(endpoint, options, self._on_new_connection, self._on_silence)
        except BaseException:
            self._pool.close()
            raise
        forks.watch(self)

    def request(self, request: Request) -> Response:
        deadline = time.monotonic() + request.timeout_s
        server = self._server or self._introduced(request, deadline)
        if server.correlation:
            try:
                return response_in(self._codec, self._correlated(request, server, deadline), self._limit)
            except OldServerTookOver:
                self._on_old_server()
        return self._plain(request, deadline)

    def request_many(self, requests: Sequence[Request]) -> list[Response | Exception]:
        pipeline = Pipeline(self._options, self._ids, requests)
        while (request := pipeline.next_request) is not None:
            try:
                self._go_on(pipeline, request)
            except TransportError as exc:
                pipeline.settle_rest(exc)
        return pipeline.outcomes()

    def submit(self, request: Request) -> Future[Response]:
        return self._accompanied().submit(request)

    def stats(self) -> dict[str, Any]:
        """Sockets of callers, and what the heartbeats know: seconds of silence, reconnections."""
        companion = self._companion
        return {"connections": self._pool.size, **(companion.stats() if companion else {})}

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._pool.close()
        if self._companion is not None:
            self._companion.close()

    def after_fork_in_child(self) -> None:
        forks.abandon(self._companion)
        self._companion = None
        self._server = None  # so that the first call makes a companion
        self._lock = threading.Lock()
        self._ids = CorrelationIds()

    def _accompanied(self) -> Companion:
        """The companion; a forked child's own from its first call on, as heartbeats do not cross a fork."""
        with self._lock:
            if self._closed:
                raise ClientClosed(f"the client of {self._endpoint} is closed")
            if self._companion is None:
                self._companion = Companion(self._endpoint, self._options, self._on_new_connection, self._on_silence)
            return self._companion

    def _on_old_server(self) -> None:
        """It could not read the request: ask it in its own way, where no answer to a correlated request can come."""
        self._server = NONE
        self._pool.drop_idle()

    def _on_new_connection(self) -> None:
        """Another server may be there now, which can more, or less."""
        self._server = None

    def _on_silence(self) -> None:
        """The heartbeats found the server silent: calls under way need not wait out their time."""
        self._pool.drop(lambda request: ConnectionLost(f"{request.method}: {self._endpoint} has gone silent; it may have run"))

    def _introduced(self, request: Request, deadline: float) -> Abilities:
        """What the server can do; asked once per connection, in a way that old servers understand."""
        self._accompanied()
        self._pool.drop_idle()  # so that what comes is the ping's answer, and not a late one of before
        with self._pool.channel(request, deadline) as channel:
            channel.send(request, self._codec.encode(PING))
            while len(frames := channel.receive(request, deadline)) > 1:
                continue  # the late answer of a call that was given up; the ping's has one frame
            self._server = server = abilities(self._options, frames[0])
        return server

    def _plain(self, request: Request, deadline: float) -> Response:
        """One exchange with a server that knows no correlation; a late answer dies with its channel."""
        with self._pool.channel(request, deadline) as channel:
            left_s = deadline - time.monotonic()
            channel.send(request, *request_frames(self._codec, request, self._limit, NONE, left_s))
            return response_in(self._codec, channel.receive(request, deadline), self._limit)

    def _correlated(self, request: Request, server: Abilities, deadline: float) -> list[bytes]:
        """The answer's frames; `OldServerTookOver` from a server that cannot read correlated requests."""
        with self._pool.channel(request, deadline) as channel:
            correlation, left_s = self._ids.next(), deadline - time.monotonic()
            channel.send(request, correlation, *request_frames(self._codec, request, self._limit, server, left_s))
            try:
                while (frames := channel.receive(request, deadline))[0] != correlation:
                    if len(frames) < 2 and refuses_correlation(self._codec, frames[0]):
                        raise OldServerTookOver
                return frames
            except CallTimeout as exc:
                late = exc
        raise late  # outside the block: the channel can be used on, as a late answer fits no other call

    def _go_on(self, pipeline: Pipeline, request: Request) -> None:
        """As much of a pipeline as one channel carries; one request only where the server knows no correlation."""
        deadline = time.monotonic() + request.timeout_s
        server = self._server or self._introduced(request, deadline)
        if not server.correlation:
            pipeline.settle_next(self._outcome(request))
            return
        unsent = pipeline.unsent
        try:
            with self._pool.channel(request, deadline) as channel:
                pipeline.run(channel, server)
        except OldServerTookOver:
            self._on_old_server()
        except ConnectionLost:
            if pipeline.unsent == unsent:  # nothing went out: another channel would fare no better
                raise

    def _outcome(self, request: Request) -> Response | Exception:
        try:
            return self.request(request)
        except TransportError as exc:
            return exc
