"""The connection for threads: the asynchronous one, on the event loop that core shares among all who need one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait

from acme_kato_unix.aclient import AsyncUnixConnection
from acme_kato_unix.endpoints import disown, socket_path
from kato_transport import ClientClosed, ClientOptions, Request, Response, TransportError, fork
from kato_transport.background import background


class UnixConnection:
    """Safe to be shared by threads, and usable in a forked child; nothing is opened or started before the first call.

    Callbacks of the futures that `submit` gives run on the loop's thread, so they must not wait there for another call.
    """

    def __init__(self, endpoint: str, options: ClientOptions) -> None:
        socket_path(endpoint)  # refused here and now, not by the first call
        self._endpoint = endpoint
        self._options = options
        self._inner: AsyncUnixConnection | None = None
        self._under_way: set[Future[Response]] = set()
        self._lock = threading.Lock()
        self._closed = False
        fork.watch(self)

    def request(self, request: Request) -> Response:
        return self.submit(request).result()

    def submit(self, request: Request) -> Future[Response]:
        with self._lock:
            if self._closed:
                raise ClientClosed(f"the client of {self._endpoint} is closed")
            if self._inner is None:
                background.acquire()
                self._inner = AsyncUnixConnection(self._endpoint, self._options)
            answered = background.run(self._inner.request(request))
            self._under_way.add(answered)
        answered.add_done_callback(self._under_way.discard)
        return answered

    def request_many(self, requests: Sequence[Request]) -> list[Response | Exception]:
        return [_outcome(answered) for answered in [self.submit(request) for request in requests]]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            inner, self._inner = self._inner, None
        if inner is not None:
            background.run(inner.close()).result()
            wait(list(self._under_way))  # the loop may end with `release`, and every call has to end before it
            background.release()

    def after_fork_in_child(self) -> None:
        """Leave the parent its loop, its socket and its calls; the next call here starts anew."""
        if self._inner is not None:
            disown(self._inner.descriptors)
            fork.abandon(self._inner)
            self._inner = None
        self._under_way = set()
        self._lock = threading.Lock()


def _outcome(answered: Future[Response]) -> Response | Exception:
    try:
        return answered.result()
    except TransportError as exc:
        return exc
