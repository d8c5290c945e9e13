"""The connection: a REQ socket per call under way."""

from __future__ import annotations

import time
from typing import Any

import zmq

from kato_transport import ClientOptions, RemoteProtocolError, Request, Response
from kato_transport.wire import decode_response, encode_request
from kato_transport.zeromq import Channel, ChannelPool


class BasicConnection:
    """Safe to be shared by threads, and usable in a forked child.

    A REQ socket that was given no answer cannot be used again, and one that is given a late answer would hand it to the
    next call: so a call that fails takes its socket with it.
    """

    def __init__(self, endpoint: str, options: ClientOptions) -> None:
        self._codec = options.codec
        self._limit = options.max_message_bytes
        self._pool = ChannelPool(lambda: Channel(zmq.REQ, endpoint, options), options.max_connections, endpoint)

    def request(self, request: Request) -> Response:
        deadline = time.monotonic() + request.timeout_s
        with self._pool.channel(request, deadline) as channel:
            channel.send(request, encode_request(self._codec, request, self._limit, deadline - time.monotonic()))
            frames = channel.receive(request, deadline)
        if len(frames) != 1:
            raise RemoteProtocolError(f"{request.method}: the answer has {len(frames)} frames; expected one")
        return decode_response(self._codec, frames[0], self._limit)

    def stats(self) -> dict[str, Any]:
        """Sockets open."""
        return {"connections": self._pool.size}

    def close(self) -> None:
        self._pool.close()
