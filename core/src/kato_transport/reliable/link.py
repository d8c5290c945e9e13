"""One endpoint as a client knows it: the connection, its breaker, and which server's life is behind it."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any, Generic, TypeVar

from kato_transport.contracts import ClientOptions
from kato_transport.errors import CallTimeout, ConnectFailed, ConnectionLost, TransportError
from kato_transport.model import Request, Response
from kato_transport.protocol.breaker import Breaker

C = TypeVar("C")
"""A `Connection` or an `AsyncConnection`."""

LOST = (ConnectFailed, ConnectionLost, CallTimeout)
"""Failures that say something about the endpoint rather than the call."""

NO_DEDUPE = ""

OPEN_S = 0.1
LONGEST_OPEN_S = 1.0
"""Of one of several endpoints; the only one is tried again every `OPEN_S`, so that a server that returns is called at once."""

LEAST_WAIT_S = 0.05
"""What one copy is given at least, however little its share of the call's time is."""


class Marks:
    """Numbers for a client's calls, under a name that no other client has."""

    def __init__(self) -> None:
        self._name = f".{os.urandom(8).hex()}."
        self._numbers = itertools.count(1)

    def next(self, server: str) -> str:
        """A call's `once`, for the server of that name; for any server where the name is empty."""
        return f"{server}{self._name}{next(self._numbers):x}"


class Link(Generic[C]):
    """`server` is the name that the server gave its life: None until it was asked, empty where it has no `dedupe`."""

    def __init__(self, index: int, endpoint: str, connection: C, options: ClientOptions, alone: bool) -> None:
        self.index = index
        self.endpoint = endpoint
        self.connection = connection
        self.server: str | None = None
        self._options = options
        self._compression = ""
        self._longest_open_s = OPEN_S if alone else LONGEST_OPEN_S
        self.breaker = self._new_breaker()

    def learn(self, pong: Response) -> None:
        """Take the server's name from its answer to `ping`, and what it can read."""
        features, name = pong.body.get("features"), pong.body.get("server")
        if not isinstance(features, list):
            features = []
        wanted = self._options.compression
        self._compression = wanted if wanted in features else ""
        self.server = name if "dedupe" in features and isinstance(name, str) else NO_DEDUPE

    def renew(self) -> None:
        """In a forked child: a lock may have been held by a thread that is not here."""
        self.breaker = self._new_breaker()

    def forget(self) -> None:
        """Another server may be there now."""
        self.server, self._compression = None, ""

    def copy(self, request: Request, marks: Marks, left_s: float, copies: int, once: str = "") -> Request:
        """A copy of the call to send here: with its mark, and its share of the call's time where another may follow.

        Calls that may run twice are marked, too: their copies can then share one run.
        """
        server = self.server
        once = once or request.once
        if not once and (request.idempotent or server):
            once = marks.next("" if request.idempotent else server or "")
        wait_s = min(left_s, max(request.timeout_s / copies, LEAST_WAIT_S)) if server else left_s
        beyond_s = request.beyond_s + left_s - wait_s
        return request.copy(once, wait_s, beyond_s, self._compression, self._options.compression)

    def heard(self) -> None:
        """The endpoint answered."""
        self.breaker.succeeded()

    def lost(self) -> None:
        """The endpoint did not answer."""
        self.breaker.failed(time.monotonic())
        self.forget()

    def missed(self, failure: TransportError) -> None:
        """A call came to nothing; slow is not lost."""
        if isinstance(failure, CallTimeout):
            self.forget()
        else:
            self.lost()

    def stats(self) -> dict[str, Any]:
        """The transport's own counters, and the breaker's."""
        own: dict[str, Any] = getattr(self.connection, "stats", dict)()
        return {**own, "circuit": str(self.breaker.state), "circuit_opened": self.breaker.opened}

    def _new_breaker(self) -> Breaker:
        return Breaker(self._options.breaker_failures, OPEN_S, self._longest_open_s)
