"""The Kubernetes API over the standard library's HTTP client: one connection for each request, all ended by `close`."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urlencode, urlsplit

from kato_transport_kv_events.discovery.kubernetes.access import Access
from kato_transport_kv_events.discovery.kubernetes.errors import ApiError, Broken, Gone
from kato_transport_kv_events.discovery.kubernetes.objects import Status, decoded

CONNECT_S: Final = 5.0
MOST_BYTES: Final = 64 * 1024 * 1024
MOST_ERROR_BYTES: Final = 64 * 1024
KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""A host that is lost is noticed within a minute, where the system can be told so."""


class Answer:
    """One that is being read, from an API that agreed; ends with its block."""

    def __init__(self, where: str, connection: HTTPConnection, response: HTTPResponse) -> None:
        self._where = where
        self._connection = connection
        self._response = response

    def whole(self) -> bytes:
        with _broken(self._where):
            body = self._response.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise ApiError(f"{self._where}: an answer of more than {MOST_BYTES} bytes")
        return body

    def lines(self) -> Iterator[bytes]:
        """Each as soon as it is there, until the API ends the answer."""
        while True:
            with _broken(self._where):
                line = self._response.readline(MOST_BYTES + 1)
            if not line:
                return
            if len(line) > MOST_BYTES:
                raise ApiError(f"{self._where}: a line of more than {MOST_BYTES} bytes")
            if not line.endswith(b"\n"):
                raise Broken(f"{self._where}: the connection ended amidst a line")
            yield line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._response.close()
        self._connection.close()


class Api:
    """Used by one thread, and closed by any."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._closed = False
        self._socket: socket.socket | None = None

    def get(self, path: str, query: Mapping[str, str], timeout_s: float) -> Answer:
        """An answer, whose parts may be so long in coming; `Gone`, `Broken` or another `ApiError` where there is none."""
        where = f"{self._access.url}{path}"
        target = f"{urlsplit(where).path}?{urlencode(query, quote_via=quote)}"
        with _broken(where):
            connection = self._connected(timeout_s)
            try:
                connection.request("GET", target, headers=self._headers())
                response = connection.getresponse()
                if response.status != 200:
                    raise _refusal(where, response)
            except BaseException:
                connection.close()
                raise
        return Answer(where, connection, response)

    def close(self) -> None:
        """Have whoever reads an answer find it broken."""
        with self._lock:
            self._closed = True
            if self._socket is not None:
                with suppress(OSError):  # the plain socket's: a TLS socket's own would disturb the thread that reads it
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _connected(self, timeout_s: float) -> HTTPConnection:
        url = urlsplit(self._access.url)
        if url.scheme == "https":
            connection: HTTPConnection = HTTPSConnection(url.netloc, timeout=CONNECT_S, context=self._trust())
        else:
            connection = HTTPConnection(url.netloc, timeout=CONNECT_S)
        connection.connect()
        _keep_alive(connection.sock)
        connection.sock.settimeout(timeout_s)
        with self._lock:
            self._socket = connection.sock
            if self._closed:
                connection.close()
                raise Broken("the discovery is closed")
        return connection

    def _trust(self) -> ssl.SSLContext:
        ca_file = self._access.ca_file
        return ssl.create_default_context(cadata=ca_file.read_text() if ca_file else None)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "kato-transport", "Connection": "close"}
        token = self._access.token()
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers


@contextmanager
def _broken(where: str) -> Iterator[None]:
    """Whatever the socket, TLS, HTTP, or a file that is to be read for them, has to say."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as exc:
        raise Broken(f"{where}: {exc or type(exc).__name__}") from exc


def _refusal(where: str, response: HTTPResponse) -> ApiError:
    with response:
        body = response.read(MOST_ERROR_BYTES)
    try:
        said = decoded(body, Status).message
    except ApiError:
        said = body[:200].decode(errors="replace")
    kind = Gone if response.status == 410 else ApiError
    return kind(f"{where}: {response.status} {response.reason}: {said}")


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
