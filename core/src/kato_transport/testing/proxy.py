"""A TCP proxy that makes faults: a test puts it between a client and a server and then decides what passes.

Each direction (`up` to the server, `down` to the client) can be slowed (`delay_s`, `bytes_per_s`), stalled (bytes wait) or
made to drop (bytes vanish); connections can be cut or half-closed. Nothing happens by chance.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends a reset instead of an orderly end."""
_CHUNK = 64 * 1024
_THREAD = "kato-testing-proxy"
_POLL_S = 0.01
_JOIN_S = 1.0


class Direction:
    """What happens to bytes on their way; set from the test, at any time."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        """Seconds that each piece waits before it goes on."""
        self.bytes_per_s = 0
        """The most that passes in a second; 0: no limit."""
        self.piece_bytes = _CHUNK
        """Bytes that go on at a time."""
        self.seen = 0
        """Bytes that came so far, whatever became of them."""
        self._flows = threading.Event()
        self._flows.set()
        self._drops = False

    def stall(self) -> None:
        """Keep bytes back, until `flow` or the end of the proxy."""
        self._flows.clear()

    def drop(self) -> None:
        """Swallow bytes; the connection looks alive."""
        self._drops = True

    def flow(self) -> None:
        """Undo `stall` and `drop`, and let go of what waited; what was swallowed stays away."""
        self._drops = False
        self._flows.set()

    def pass_on(self, data: bytes, target: socket.socket, ended: threading.Event) -> None:
        """Send what came to where it goes, as the settings of this moment say."""
        self.seen += len(data)
        ended.wait(self.delay_s)
        while not self._flows.wait(_POLL_S) and not ended.is_set():
            pass
        for start in range(0, 0 if self._drops else len(data), self.piece_bytes):
            target.sendall(data[start : start + self.piece_bytes])
            if self.bytes_per_s:
                ended.wait(self.piece_bytes / self.bytes_per_s)


class _Link:
    """One connection through the proxy, pumped by a thread each way; the one that ends last closes both sides."""

    def __init__(self, client: socket.socket, server: socket.socket, up: Direction, down: Direction) -> None:
        self.client = client
        self.server = server
        self._ended = threading.Event()
        self._pumping = 2
        self._lock = threading.Lock()
        ways = (client, server, up), (server, client, down)
        self._pumps = [threading.Thread(target=self._pump, args=way, name=_THREAD, daemon=True) for way in ways]
        for pump in self._pumps:
            pump.start()

    def end(self, reset: bool) -> None:
        """Have both sides closed; reading ends here, which wakes the pumps, and they do the rest."""
        self._ended.set()
        for side in (self.client, self.server):
            with suppress(OSError):
                if reset:
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                side.shutdown(socket.SHUT_RD)

    def join(self) -> None:
        """Wait until both sides are closed."""
        for pump in self._pumps:
            pump.join(_JOIN_S)

    def _pump(self, source: socket.socket, target: socket.socket, direction: Direction) -> None:
        try:
            while data := source.recv(_CHUNK):
                direction.pass_on(data, target, self._ended)
            if not self._ended.is_set():
                target.shutdown(socket.SHUT_WR)
        except OSError:
            self.end(reset=True)  # one side is gone, so the other is told
        with self._lock:
            self._pumping -= 1
            last = not self._pumping
        if last:
            self.client.close()
            self.server.close()


class FaultProxy:
    """Listens on a free port of the loopback and passes connections on to `host:port`."""

    def __init__(self, host: str, port: int) -> None:
        self.up = Direction()
        self.down = Direction()
        self._target = (host, port)
        self._links: list[_Link] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name=_THREAD, daemon=True)
        self._acceptor.start()

    def cut(self) -> None:
        """Reset every connection; the next one is accepted as usual."""
        self._end_links(reset=True)

    def half_close(self) -> None:
        """Tell every client that the server says no more, while it may still speak itself."""
        with self._lock:
            for link in self._links:
                with suppress(OSError):
                    link.client.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End every connection and listen no more; idempotent."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.up.flow()
        self.down.flow()
        self._acceptor.join(_JOIN_S)
        self._end_links(reset=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:  # so that a cut never falls between a connection and its link
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                self._links.append(_Link(client, server, self.up, self.down))

    def _end_links(self, reset: bool) -> None:
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.end(reset)
        for link in links:
            link.join()
