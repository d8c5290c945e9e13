"""The REP server: one thread, one request at a time, as REP has it.

A slow handler holds up everybody, `ping` too: that is what the `improved` transport is for.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import zmq

from kato_transport import Request, Response, ServerOptions, Service
from kato_transport.compression import compressed
from kato_transport.model import ErrorCode
from kato_transport.once import Sent
from kato_transport.runner import CLOSING, Runner
from kato_transport.wire import BadRequest, Heartbeat, decode_request, encode_heartbeat_answer, encode_response
from kato_transport.zeromq import bound_endpoint, close_server, knock, open_back_door, receive, send_now, server_socket

TICK_MS = 200
"""How long the thread waits for a request before it looks whether it is to end: the knock may have failed."""

GRACE_S = 0.5
"""What closing may take beyond the drain time, when a handler is slow to end."""

log = logging.getLogger("kato_transport.basic")


class BasicServer:
    """Runs from its making until `close`."""

    def __init__(self, endpoint: str, service: Service, options: ServerOptions) -> None:
        self._codec = options.codec
        self._limit = options.max_message_bytes
        self._drain_s = options.drain_s
        self._socket = server_socket(zmq.REP, endpoint, options.max_message_bytes, rcvtimeo=TICK_MS)
        self.endpoint = bound_endpoint(self._socket)
        self._back_door = open_back_door(self._socket)
        self._runner = Runner(service, options, name="kato-basic")
        self._stop = self._working = self._drained = False
        self.requests = self.malformed = 0
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="kato-basic-server", daemon=True)
        self._thread.start()

    def stats(self) -> dict[str, Any]:
        """Requests taken, and malformed messages; and what `Runner.stats` tells."""
        return {"requests": self.requests, "malformed": self.malformed, **self._runner.stats()}

    def close(self) -> None:
        if os.getpid() != self._pid:  # a forked child has neither the thread nor the socket
            return
        if not self._stop:
            self._drained = self._working
            self._stop = True
            knock(zmq.REQ, self._back_door)
        self._thread.join(self._drain_s + GRACE_S)
        if self._thread.is_alive():
            log.warning("closed with a handler still running after %g s", self._drain_s)

    def _run(self) -> None:
        while not self._stop:
            try:
                frames = receive(self._socket)
            except zmq.Again:
                continue
            self._working = True
            try:
                answer = self._answer(frames)
            except Exception:  # REP takes no further request before it has answered this one
                log.exception("a message was given up")
                answer = encode_response(self._codec, Response.error("the server could not answer this", ErrorCode.INTERNAL))
            self._send(answer)
            self._working = False
        close_server(self._socket, self._drained)

    def _answer(self, frames: list[bytes]) -> bytes:
        try:
            request = self._decode(frames)
        except BadRequest as exc:
            self.malformed += 1
            return encode_response(self._codec, exc.answer, exc.request_id)
        if isinstance(request, Heartbeat):
            return encode_heartbeat_answer(self._codec)
        self.requests += 1
        answers: list[bytes] = []

        def reply(response: Response) -> Sent:
            answer = encode_response(self._codec, response, request.request_id, self._limit)
            answers.append(compressed(answer, request.accept) if request.accept else answer)
            return answer

        if self._stop:
            reply(CLOSING)
        else:
            self._runner.start(request, reply, here=True)
        return answers[0]

    def _decode(self, frames: list[bytes]) -> Request | Heartbeat:
        if len(frames) != 1:
            raise BadRequest(f"message of {len(frames)} frames; expected one")
        return decode_request(self._codec, frames[0], "basic", self._limit)

    def _send(self, answer: bytes) -> None:
        try:
            send_now(self._socket, [answer])
        except zmq.ZMQError as exc:
            log.debug("answer dropped: %s", exc)
