"""Faults in the beginning and end of connections, servers and processes."""

import os
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from attrs import evolve

import kato_transport as kt
from kato_transport.memory import MemoryTransport
from planted.base import HANG_S, Healthy, Wire


class HangsOnClose(Healthy):
    """Closing waits for calls in flight."""

    class Link(Wire):
        def __init__(self, *args):
            super().__init__(*args)
            self.submitted = []

        def submit(self, request):
            self.submitted.append(self.inner.submit(request))
            return self.submitted[-1]

        def close(self):
            for future in self.submitted:
                wait_for(future)
            self.inner.close()


def wait_for(future):
    try:
        future.exception(HANG_S)
    except FutureTimeout:
        return


class LeavesCallsHanging(Healthy):
    """Closing ends no call in flight."""

    class Link(Wire):
        def submit(self, request):
            outer = Future()
            self.inner.submit(request).add_done_callback(lambda done: self.settle(outer, done))
            return outer

        def settle(self, outer, done):
            if not isinstance(done.exception(), kt.ClientClosed):
                outer.set_exception(done.exception()) if done.exception() else outer.set_result(done.result())


class ClosesOnce(Healthy):
    """Closing a second time is an error."""

    class Link(Wire):
        closed = calls = False

        def request(self, request):
            self.calls = request.method == "echo"
            return self.inner.request(request)

        def close(self):
            if self.closed and self.calls:
                raise RuntimeError("already closed")
            self.closed = True
            self.inner.close()


class CallsAfterClose(Healthy):
    """A closed connection opens again by itself."""

    class Link(Wire):
        def request(self, request):
            try:
                return self.inner.request(request)
            except kt.ClientClosed:
                with_own = MemoryTransport().connect(self.endpoint, self.options)
                try:
                    return with_own.request(request)
                finally:
                    with_own.close()


class LeavesThreads(Healthy):
    """Each connection starts a thread that nobody ends."""

    class Link(Wire):
        def __init__(self, *args):
            super().__init__(*args)
            threading.Thread(target=time.sleep, args=(HANG_S,), name="left behind", daemon=True).start()


class LeavesDescriptors(Healthy):
    """Each connection opens a pipe that nobody closes."""

    class Link(Wire):
        def __init__(self, *args):
            super().__init__(*args)
            os.pipe()


class TakesOver(Healthy):
    """Serves on an endpoint that is taken, and says nothing."""

    def serve(self, endpoint, service, options):
        try:
            return super().serve(endpoint, service, options)
        except kt.BindFailed:
            return super().serve("memory://", service, options)


class TakesAnyEndpoint(Healthy):
    """Reads every endpoint as one of its own."""

    def connect(self, endpoint, options):
        return super().connect(endpoint if endpoint.startswith("memory://") else f"memory://{endpoint}", options)


class DiesInChildren(Healthy):
    """A connection that was made before a fork hangs after it."""

    class Link(Wire):
        def __init__(self, *args):
            super().__init__(*args)
            self.pid = os.getpid()

        def request(self, request):
            if self.pid != os.getpid():
                threading.Event().wait()
            return self.inner.request(request)


class BlocksTheLoop(Healthy):
    """Its asynchronous client makes blocking calls."""

    def aconnect(self, endpoint, options):
        return BlockingConnection(self.connect(endpoint, options))


class BlockingConnection:
    def __init__(self, inner):
        self.inner = inner

    async def request(self, request):
        return self.inner.request(evolve(request, timeout_s=min(request.timeout_s, 1.0)))

    async def close(self):
        self.inner.close()
