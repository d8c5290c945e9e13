"""The HTTP client: calls in the wire's own maps by POST, on kept connections."""

from __future__ import annotations

import http.client
import socket
import time

from kato_transport import fork
from kato_transport.codecs.json import JsonCodec
from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.contracts import ClientOptions
from kato_transport.endpoints import http_address
from kato_transport.errors import CallTimeout, ClientClosed, ConnectionLost, RemoteProtocolError
from kato_transport.http.coding import coding_headers
from kato_transport.model import Request, Response
from kato_transport.wire import decode_response, encode_request
from kato_transport_rest.pool import Kept, Pool

CALL_PATH = "/kato-api/call"
"""Takes any method, in the wire's own maps."""
_CHUNK = 1 << 16


class _Unanswered(Exception):
    """The connection broke before anything was answered."""

    def __init__(self, kept: bool) -> None:
        self.kept = kept
        super().__init__(kept)


class HttpConnection:
    """A client of a gateway; as many calls at a time as there are threads, each on a connection of its own."""

    def __init__(self, endpoint: str, options: ClientOptions) -> None:
        self._address = http_address(endpoint)
        self._endpoint = endpoint
        self._options = options
        codecs = (JsonCodec(), MsgpackCodec(), options.codec)
        self._codecs = {codec.content_type: codec for codec in codecs}
        self._headers = {"content-type": options.codec.content_type, "accept": options.codec.content_type}
        self._pool = self._new_pool()
        fork.watch(self)

    def request(self, request: Request) -> Response:
        """See `kato_transport.contracts.Connection`.

        A kept connection may turn out to have been closed by the server while the request was on its way: then a
        request that is idempotent is sent once more, on a new connection; any other is a `ConnectionLost`.
        """
        deadline = time.monotonic() + request.timeout_s
        data = encode_request(self._options.codec, request, self._options.max_message_bytes)
        try:
            try:
                return self._attempt(request, data, deadline)
            except _Unanswered as exc:
                if not (exc.kept and request.idempotent):
                    raise
                return self._attempt(request, data, deadline, new=True)
        except _Unanswered as exc:
            raise ConnectionLost(f"{request.method}: {self._endpoint} hung up before it answered; it may have run") from exc

    def close(self) -> None:
        self._pool.close()

    def after_fork_in_child(self) -> None:
        """The sockets are the parent's; the child makes its own."""
        fork.abandon(self._pool)
        closed = self._pool.closed
        self._pool = self._new_pool()
        self._pool.closed = closed

    def _new_pool(self) -> Pool:
        return Pool(*self._address, self._options.max_connections, self._options.connect_timeout_s)

    def _attempt(self, request: Request, data: bytes, deadline: float, new: bool = False) -> Response:
        pool = self._pool
        late = CallTimeout(request.method, request.timeout_s, self._endpoint)
        try:
            connection = pool.take(deadline, new)
        except TimeoutError as exc:
            raise late from exc
        try:
            answer = self._exchange(connection, data, deadline)
        except BaseException as exc:
            pool.drop(connection)
            if pool.closed:
                raise ClientClosed(f"the client of {self._endpoint} was closed before the answer came") from exc
            if isinstance(exc, TimeoutError):
                raise late from exc
            raise
        pool.give_back(connection)
        return answer

    def _exchange(self, connection: Kept, data: bytes, deadline: float) -> Response:
        sock: socket.socket = connection.sock
        sock.settimeout(_left(deadline))
        try:
            connection.request("POST", CALL_PATH, data, {**self._headers, **coding_headers(data)})
        except TimeoutError:
            raise
        except OSError:
            pass  # a server that refuses a body may hang up before it has read it; its answer is there to be read
        try:
            sock.settimeout(_left(deadline))
            answered = connection.getresponse()
        except TimeoutError:
            raise
        except OSError as exc:  # among them RemoteDisconnected
            raise _Unanswered(connection.used) from exc
        except http.client.HTTPException as exc:
            raise RemoteProtocolError(f"{self._endpoint} does not speak HTTP: {exc!r}") from exc
        try:
            return self._decoded(answered, self._read(answered, sock, deadline))
        finally:
            answered.close()

    def _read(self, answered: http.client.HTTPResponse, sock: socket.socket, deadline: float) -> bytes:
        """The whole body: by the deadline, however it trickles, and no more than is taken."""
        expected, limit = answered.length, self._options.max_message_bytes
        chunks: list[bytes] = []
        size = 0
        while (expected is None or size < expected) and max(size, expected or 0) <= limit:
            sock.settimeout(_left(deadline))
            try:
                chunk = answered.read1(_CHUNK if expected is None else expected - size)
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException) as exc:
                raise ConnectionLost(f"{self._endpoint} hung up in the middle of its answer") from exc
            if not chunk:
                break
            chunks.append(chunk)
            size += len(chunk)
        if max(size, expected or 0) > limit:
            raise RemoteProtocolError(f"{self._endpoint} answered with more than max_message_bytes ({limit})")
        if expected is not None and size < expected:
            raise ConnectionLost(f"{self._endpoint} hung up in the middle of its answer")
        return b"".join(chunks)

    def _decoded(self, answered: http.client.HTTPResponse, data: bytes) -> Response:
        content_type = answered.getheader("content-type", "").partition(";")[0].strip().lower()
        codec = self._codecs.get(content_type)
        if codec is None:
            raise self._no_gateway(f"{answered.status} with content type {content_type!r}")
        response = decode_response(codec, data, self._options.max_message_bytes)
        if answered.status >= 400 and not response.is_error:
            raise self._no_gateway(f"{answered.status} without an error's map")
        return response

    def _no_gateway(self, answered: str) -> RemoteProtocolError:
        return RemoteProtocolError(f"{self._endpoint} answered {answered}; is it a KATO gateway?")


def _left(deadline: float) -> float:
    """Seconds left; `TimeoutError` where none are."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
