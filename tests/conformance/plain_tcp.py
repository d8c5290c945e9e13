"""A second healthy transport for the kit's own tests: one call at a time on each TCP connection, length before message.

It is what `memory` is not: its endpoints are of the form host:port, it reaches other processes, and it claims neither
MULTIPLEX nor SUBSCRIBE.
"""

import os
import socket
import struct
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import kato_transport as kt
from kato_transport.runner import Runner
from kato_transport.wire import BadRequest, decode_request, decode_response, encode_request, encode_response

LENGTH = struct.Struct("!I")


class PlainTcp:
    name = "plain_tcp"
    capabilities = kt.Capability.REQUEST_REPLY
    schemes = ("tcp",)

    def connect(self, endpoint, options):
        return Connection(endpoint, options)

    def serve(self, endpoint, service, options):
        return Server(endpoint, service, options)


class Server:
    def __init__(self, endpoint, service, options):
        try:
            self._listener = socket.create_server(address_of(endpoint))
        except OSError as exc:
            raise kt.BindFailed(f"{endpoint}: {exc}") from exc
        self.endpoint = "tcp://{}:{}".format(*self._listener.getsockname())
        self._options = options
        self._runner = Runner(service, options, name="plain-tcp")
        self._sockets, self._waiting, self._pid = set(), set(), os.getpid()
        self._threads = [threading.Thread(target=self._accept, name="plain-tcp-accept", daemon=True)]
        self._threads[0].start()

    def close(self):
        if self._pid != os.getpid():
            return  # the parent's; a shutdown here would end its connections
        end(self._listener)
        self._runner.close()
        for sock in list(self._sockets):
            end(sock)
        for answered in list(self._waiting):
            answered.set()
        for thread in self._threads:
            thread.join()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.add(sock)
            self._threads.append(threading.Thread(target=self._converse, args=(sock,), name="plain-tcp", daemon=True))
            self._threads[-1].start()

    def _converse(self, sock):
        with suppress(OSError), sock:
            while (message := receive(sock, self._options.max_message_bytes)) is not None:
                answered = threading.Event()
                self._waiting.add(answered)
                self._answer(sock, message, answered)
                answered.wait()
                self._waiting.discard(answered)
        self._sockets.discard(sock)

    def _answer(self, sock, message, answered):
        def reply(response):
            data = encode_response(self._options.codec, response)
            if len(data) > self._options.max_message_bytes:
                data = encode_response(self._options.codec, kt.Response.error("answer too large", "too_large"))
            with suppress(OSError):
                send(sock, data)
            answered.set()
            return len(data)

        if message == b"":
            reply(kt.Response.error("message too large", "too_large"))
            return
        try:
            self._runner.start(decode_request(self._options.codec, message), reply)
        except BadRequest as exc:
            reply(exc.answer)


class Connection:
    def __init__(self, endpoint, options):
        self._endpoint, self._options = endpoint, options
        self._address = address_of(endpoint)
        self._closed = False
        self._renew()

    def request(self, request):
        message = encode_request(self._options.codec, request)
        if len(message) > self._options.max_message_bytes:
            raise kt.LocalProtocolError("too large")
        deadline = time.monotonic() + request.timeout_s
        sock = self._take()
        try:
            answer = self._exchange(sock, message, deadline)
        except TimeoutError:
            end(sock)
            raise kt.CallTimeout(request.method, request.timeout_s, self._endpoint) from None
        except OSError as exc:
            end(sock)
            self._refuse_if_closed()
            raise kt.ConnectionLost(f"{self._endpoint}: {exc}") from exc
        finally:
            self._busy.discard(sock)
        self._idle.append(sock)
        return decode_response(self._options.codec, answer)

    def close(self):
        self._closed = True
        if self._pid == os.getpid():
            for sock in [*self._idle, *self._busy]:
                end(sock)

    def _exchange(self, sock, message, deadline):
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        send(sock, message)
        answer = receive(sock, self._options.max_message_bytes, deadline)
        if answer is None:
            raise ConnectionError("ended by the server")
        if answer == b"":
            raise kt.RemoteProtocolError("the answer is too large")
        return answer

    def _take(self):
        if self._pid != os.getpid():
            self._renew()
        self._refuse_if_closed()
        try:
            sock = self._idle.pop()
        except IndexError:
            try:
                sock = socket.create_connection(self._address, self._options.connect_timeout_s)
            except OSError as exc:
                raise kt.ConnectFailed(f"{self._endpoint}: {exc}") from exc
        self._busy.add(sock)
        return sock

    def _refuse_if_closed(self):
        if self._closed:
            raise kt.ClientClosed(f"the client of {self._endpoint} is closed")

    def _renew(self):
        self._pid, self._parents = os.getpid(), getattr(self, "_idle", None)
        self._idle, self._busy = [], set()


def address_of(endpoint):
    try:
        parts = urlsplit(endpoint)
        if parts.scheme == "tcp" and parts.hostname and parts.port is not None:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise kt.InvalidSetting(f"endpoint {endpoint!r}: expected tcp://HOST:PORT")


def send(sock, data):
    sock.sendall(LENGTH.pack(len(data)) + data)


def receive(sock, limit, deadline=None):
    """A message, None at the end of the connection, empty where it was larger than allowed."""
    head = read(sock, LENGTH.size, deadline)
    if head is None:
        return None
    (size,) = LENGTH.unpack(head)
    data = read(sock, size, deadline)
    return b"" if data is not None and size > limit else data


def read(sock, size, deadline):
    data = bytearray()
    while len(data) < size:
        if deadline is not None:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
        part = sock.recv(min(size - len(data), 1 << 20))
        if not part:
            return None
        data += part
    return bytes(data)


def end(sock):
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
