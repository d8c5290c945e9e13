"""`GatewayServer`: a gateway on a bound socket, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from kato_transport import fork
from kato_transport.contracts import AsyncConnection, ServerOptions, Service
from kato_transport.errors import BindFailed
from kato_transport.runner import Runner
from kato_transport.wire import DEFAULT_TIMEOUT_S
from kato_transport_rest.address import endpoint_of, host_and_port
from kato_transport_rest.answers import CODECS
from kato_transport_rest.cors import Cors
from kato_transport_rest.gateway import Gateway
from kato_transport_rest.http import BACKLOG, HttpListener, new_loop
from kato_transport_rest.settings import RestSettings
from kato_transport_rest.upstream import LocalUpstream

log = logging.getLogger("kato_transport.rest")

_REASONS = {
    errno.EADDRINUSE: "another program has that port; choose another one, or 0 for any that is free",
    errno.EACCES: "this user may not take that port; choose one above 1023",
    errno.EADDRNOTAVAIL: "that is no address of this host",
}


class GatewayServer:
    """Serves until it is closed. What the factory of the upstream raises, the constructor raises."""

    def __init__(
        self,
        endpoint: str,
        make_upstream: Callable[[], AsyncConnection],
        options: ServerOptions,
        settings: RestSettings,
        timeout_s: float,
    ) -> None:
        self._socket = listening(endpoint)
        self.endpoint = endpoint_of(*self._socket.getsockname()[:2])
        self._make_upstream = make_upstream
        self._options = options
        self._settings = settings
        self._timeout_s = timeout_s
        self._running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, HttpListener]] = Future()
        self._thread = threading.Thread(target=self._run, name="kato-rest", daemon=True)
        self._thread.start()
        try:
            self._loop, self._stop, self._listener = self._running.result()
        except BaseException:
            self._thread.join()
            raise
        fork.watch(self)

    def stop(self) -> None:
        """Begin to close, without waiting for it."""
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stop.set)

    def close(self) -> None:
        """Refuse what is new, finish what was taken within the drain time, let go of everything; idempotent."""
        if self._thread.is_alive():
            self.stop()
            if self._thread is not threading.current_thread():
                self._thread.join()

    def after_fork_in_child(self) -> None:
        """The thread did not come along; port and connections are the parent's alone.

        If the child held on to them, no client would see the parent hang up. Their file descriptors stay taken, by the
        null device, as objects of the parent's loop know them by number.
        """
        fork.abandon((self._loop, self._listener, self._socket))
        with open(os.devnull, "rb") as null:
            for inherited in (self._socket.fileno(), *self._listener.file_descriptors()):
                if inherited >= 0:
                    os.dup2(null.fileno(), inherited)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(self._serve())
        except BaseException as exc:
            if self._running.done():
                raise
            self._running.set_exception(exc)
        finally:
            self._socket.close()

    async def _serve(self) -> None:
        upstream = self._make_upstream()
        try:
            strict, origins = self._settings.strict_processor_id, self._settings.cors_origins
            gateway = Gateway(upstream, self._options, timeout_s=self._timeout_s, strict_processor_id=strict)
            listener = HttpListener(Cors(gateway, origins) if origins else gateway)
            listener.start(self._socket)
            stop = asyncio.Event()
            self._running.set_result((asyncio.get_running_loop(), stop, listener))
            log.info("serving %s", self.endpoint)
            await listener.serve_until(stop)
            await listener.close(self._options.drain_s)
        finally:
            await upstream.close()


class ServiceServer:
    """A gateway in front of a service of this process."""

    def __init__(self, endpoint: str, service: Service, options: ServerOptions, settings: RestSettings) -> None:
        features = ["deadline"] + [codec.name for codec in CODECS if codec.name != options.codec.name]
        self._runner = Runner(service, options, features, name="kato-rest")
        self._gateway = GatewayServer(endpoint, self._upstream, options, settings, DEFAULT_TIMEOUT_S)
        self.endpoint = self._gateway.endpoint

    def close(self) -> None:
        """As `GatewayServer.close`; requests and handlers get the drain time together."""
        self._gateway.stop()
        self._runner.close()
        self._gateway.close()

    def _upstream(self) -> LocalUpstream:
        return LocalUpstream(self._runner)


def listening(endpoint: str) -> socket.socket:
    """A socket bound to the endpoint and listening; `BindFailed` says why there is none."""
    host, port = host_and_port(endpoint)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise BindFailed(f"cannot serve {endpoint}: {exc.strerror or exc}") from exc
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        reason = _REASONS.get(exc.errno or 0, exc.strerror or str(exc))
        raise BindFailed(f"cannot serve {endpoint}: {reason}") from exc
    return listener
