"""Faults in limits and times."""

import threading
from concurrent.futures import TimeoutError as FutureTimeout

from attrs import evolve

import kato_transport as kt
from planted.base import HANG_S, Healthy, Wire


class TakesAnySize(Healthy):
    """Knows no limit."""

    def connect(self, endpoint, options):
        return super().connect(endpoint, evolve(options, max_message_bytes=2**30))


class NeverBusy(Healthy):
    """Queues without a limit."""

    def serve(self, endpoint, service, options):
        return super().serve(endpoint, service, evolve(options, queue_limit=10**9))


class IgnoresTimeouts(Healthy):
    """A call waits until it is answered."""

    class Link(Wire):
        def request(self, request):
            if request.method != "hold" or request.params["key"] != "held" or request.timeout_s >= 1:
                return self.inner.request(request)
            return self.inner.request(evolve(request, timeout_s=HANG_S))


class StartsExpiredWork(Healthy):
    """The server is not told how long the caller waits."""

    class Link(Wire):
        def request(self, request):
            if request.timeout_s > 1:
                return self.inner.request(request)
            try:
                return self.inner.submit(evolve(request, timeout_s=60.0)).result(request.timeout_s)
            except FutureTimeout:
                raise kt.CallTimeout(request.method, request.timeout_s, self.endpoint) from None


class OneAtATime(Healthy):
    """Claims MULTIPLEX, and yet makes one call after the other."""

    class Link(Wire):
        def __init__(self, *args):
            super().__init__(*args)
            self.turn = threading.Lock()

        def request(self, request):
            if not self.turn.acquire(timeout=request.timeout_s):
                raise kt.CallTimeout(request.method, request.timeout_s, self.endpoint)
            try:
                return self.inner.request(request)
            finally:
                self.turn.release()


class PingsWaitTheirTurn(Healthy):
    """A ping stands in the queue behind the handlers."""

    class Link(Wire):
        def request(self, request):
            return self.inner.request(evolve(request, method="queued ping") if request.method == "ping" else request)

    def wrapped(self, service):
        pong = kt.Response.okay(message="pong", features=[])
        return lambda request: pong if request.method == "queued ping" else service(request)
