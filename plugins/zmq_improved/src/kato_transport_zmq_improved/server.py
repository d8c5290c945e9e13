"""The ROUTER server: one thread for the socket, workers for the handlers, and no way to stall it.

While nothing is being worked on, the thread simply blocks in `recv`, the fastest server measured (performance, "Server
designs"); with requests on workers it polls the socket and a pipe that they wake it by. Sending never blocks: an answer
that a slow reader leaves no room for, or whose client is gone, is dropped and counted.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from kato_transport import Request, Response, ServerOptions, Service
from kato_transport.model import Framing
from kato_transport.protocol.liveness import Peers
from kato_transport.runner import Runner
from kato_transport.wire import BadRequest, Heartbeat, decode_request, encode_heartbeat_answer, encode_response
from kato_transport.zeromq import bound_endpoint, close_server, knock, open_back_door, server_socket
from kato_transport_zmq_improved.waker import Waker

TICK_MS = 1_000
"""How often the thread looks after silent clients, messages or not."""

MOST_FRAMES = 8
"""An envelope of more is no client's; it is refused rather than carried around."""

DRAIN = 64
"""Messages taken in a row before answers of workers get their turn."""

log = logging.getLogger("kato_transport.improved")

Frames = list[bytes]


class ImprovedServer:
    """Runs from its making until `close`."""

    def __init__(self, endpoint: str, service: Service, options: ServerOptions) -> None:
        self._codec = options.codec
        self._limit = options.max_message_bytes
        self._socket = server_socket(
            zmq.ROUTER, endpoint, options.max_message_bytes, router_mandatory=True, router_handover=True, rcvtimeo=TICK_MS
        )
        self.endpoint = bound_endpoint(self._socket)
        self._back_door = open_back_door(self._socket)
        self._runner = Runner(service, options, features=("correlation", "deadline"), name="kato-improved")
        self._peers = Peers(options.heartbeat_interval_s, options.liveness)
        self._answers: deque[tuple[Frames, bytes]] = deque()
        self._waker = Waker()
        self._on_workers = 0
        self._stop = False
        self._closed = False
        self._drained = False
        self._closing = threading.Lock()
        self.requests = self.dropped = self.malformed = 0
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="kato-improved-server", daemon=True)
        self._thread.start()

    def stats(self) -> dict[str, Any]:
        """Requests taken, malformed messages, answers that could not be delivered, requests on workers, clients alive."""
        return {
            "requests": self.requests,
            "malformed": self.malformed,
            "dropped": self.dropped,
            "on_workers": self._on_workers,
            "clients": len(self._peers),
        }

    def close(self) -> None:
        with self._closing:
            if self._closed or os.getpid() != self._pid:  # a forked child has neither the thread nor the socket
                return
            self._closed = True
            self._drained = self._on_workers > 0
            self._runner.close()
            self._stop = True
            knock(zmq.DEALER, self._back_door)
            self._thread.join()
            self._waker.close()

    # --- the socket's thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._waker.descriptor, zmq.POLLIN)
        next_sweep = time.monotonic() + 1.0
        while not self._stop:
            try:
                if self._on_workers:
                    poller.poll(TICK_MS)
                    self._send_answers()
                    self._take_waiting()
                else:
                    self._take(self._receive(0))
            except zmq.Again:
                pass
            except Exception:
                log.exception("a message was given up")
            if time.monotonic() > next_sweep:
                next_sweep = time.monotonic() + 1.0
                self._peers.forget_silent(time.monotonic())
        self._send_answers()
        close_server(self._socket, self._drained)

    def _take_waiting(self) -> None:
        for _ in range(DRAIN):
            self._take(self._receive(zmq.DONTWAIT))

    def _receive(self, flags: int) -> Frames:
        """One message's frames; a ROUTER's identity is always followed by at least one more."""
        receive, more = self._socket.recv, self._socket.getsockopt
        frames = [receive(flags), receive()]
        while more(zmq.RCVMORE):
            frames.append(receive())
        return frames

    def _take(self, frames: Frames) -> None:
        """Answer a message, now or through a worker."""
        self._peers.heard(frames[0], time.monotonic())
        message = frames.pop()
        try:
            request = self._decode(frames, message)
        except BadRequest as exc:
            self.malformed += 1
            self._send(frames, encode_response(self._codec, exc.answer, exc.request_id))
            return
        if isinstance(request, Heartbeat):
            self._send(frames, encode_heartbeat_answer(self._codec))
            return
        self.requests += 1
        self._on_workers += 1
        self._runner.start(request, self._reply_to(frames, request.request_id))

    def _decode(self, envelope: Frames, message: bytes) -> Request | Heartbeat:
        if len(envelope) > MOST_FRAMES:
            raise BadRequest(f"message of {len(envelope)} frames; expected at most {MOST_FRAMES}")
        framing: Framing = "basic" if len(envelope) == 2 and not envelope[1] else "improved"
        return decode_request(self._codec, message, framing, self._limit)

    def _reply_to(self, envelope: Frames, request_id: Any) -> Callable[[Response], None]:
        """What the runner gives the answer to: on this thread it is sent at once, from a worker it is handed over."""

        def reply(response: Response) -> None:
            message = encode_response(self._codec, response, request_id, self._limit)
            if threading.get_ident() == self._thread.ident:
                self._on_workers -= 1
                self._send(envelope, message)
            else:
                self._answers.append((envelope, message))
                self._waker.wake()

        return reply

    def _send_answers(self) -> None:
        self._waker.clear()
        while self._answers:
            envelope, message = self._answers.popleft()
            self._on_workers -= 1
            self._send(envelope, message)

    def _send(self, envelope: Frames, message: bytes) -> None:
        """Send, or drop and count: a client that does not read, or is gone, is no reason to wait."""
        try:
            for frame in envelope:
                self._socket.send(frame, zmq.SNDMORE | zmq.DONTWAIT)
            self._socket.send(message, zmq.DONTWAIT)
        except zmq.ZMQError as exc:
            self.dropped += 1
            log.debug("answer to %r dropped: %s", envelope[0], exc)
