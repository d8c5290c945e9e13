"""The ROUTER server: one thread for the socket, workers for the handlers, and no way to stall it.

While nothing is being worked on, the thread simply blocks in `recv`, the fastest server measured (performance, "Server
designs"). With requests on workers it gives the socket away while it has nothing to do: it waits for the socket's descriptor,
and a worker that is done sends its answer itself, which spares the call a second change of threads. A worker that comes
while the thread has the socket leaves the answer to it, and wakes it by a pipe. Sending never blocks: an answer that a slow
reader leaves no room for, or whose client is gone, is dropped and counted.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from threading import get_ident
from typing import Any

import zmq

from kato_transport import Request, Response, ServerOptions, Service
from kato_transport.buffers import MOST as MOST_BUFFERS
from kato_transport.compression import compressed
from kato_transport.model import Framing
from kato_transport.once import Reply
from kato_transport.protocol.liveness import Peers
from kato_transport.runner import Runner
from kato_transport.wire import (
    BadRequest,
    decode_message,
    encode_heartbeat_answer,
    encode_response,
    request_from_map,
    take_buffers,
)
from kato_transport.zeromq import (
    NOW,
    bound_endpoint,
    close_server,
    descriptor,
    knock,
    open_back_door,
    readable,
    send_now,
    server_socket,
    uncopied,
)
from kato_transport_zmq_improved.waker import Waker

TICK_MS = 1_000
"""How often the thread looks after silent clients, messages or not."""

MOST_FRAMES = 8
LONGEST_FRAME = 255
"""Of an envelope, in bytes; libzmq's identities are no longer. More is no client's; it is refused rather than echoed."""

BURST = 16
"""Messages taken in a row before the thread looks after anything else."""

NOTICED_EVERY = 4
"""Messages after which libzmq is asked whether others have sent something."""

GIVE_WAY_S = 20e-6
"""What the thread sleeps after a full burst while workers have something to do: only who waits hands over Python's lock for
certain, and without it their answers are held up for as long as a flood goes on, 5 ms at a time."""

log = logging.getLogger("kato_transport.improved")

Frames = list[bytes]
Answer = list[bytes | zmq.Frame]
"""Buffers, and the message at the end."""


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
        self._runner = Runner(service, options, features=("correlation", "deadline", "buffers"), name="kato-improved")
        self._peers = Peers(options.heartbeat_interval_s, options.liveness)
        self._answers: deque[tuple[Frames, Answer, bool]] = deque()
        self._waker = Waker()
        self._on_workers = 0
        self._has_sent = True  # since this thread last asked what can be received
        self._using = threading.Lock()  # whoever holds it has the socket
        self._stop = False
        self._closed = False
        self._drained = False
        self._closing = threading.Lock()
        self.requests = self.dropped = self.malformed = self.refused = 0
        self._own_ident = 0
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="kato-improved-server", daemon=True)
        self._thread.start()

    def stats(self) -> dict[str, Any]:
        """Requests taken, malformed messages, requests refused in place of being run, answers that could not be delivered,
        requests on workers, clients alive; and what `Runner.stats` tells."""
        return {
            "requests": self.requests,
            "malformed": self.malformed,
            "refused": self.refused,
            "dropped": self.dropped,
            "on_workers": self._on_workers,
            "clients": len(self._peers),
            **self._runner.stats(),
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
        self._own_ident = get_ident()
        self._using.acquire()  # and never let go of at the end: what a worker brings later is for nobody
        poller = select.poll()  # of descriptors alone it is half of what zmq.Poller takes
        poller.register(descriptor(self._socket), select.POLLIN)
        poller.register(self._waker.descriptor, select.POLLIN)
        next_sweep = time.monotonic() + 1.0
        waits = True
        while not self._stop:
            beside = self._on_workers > 0
            try:
                if beside:
                    self._give_way(poller, waits)
                waits = self._take_some(beside)
            except zmq.Again:
                waits = True
            except Exception:
                waits = False
                log.exception("a message was given up")
            if time.monotonic() > next_sweep:
                next_sweep = time.monotonic() + 1.0
                self._peers.forget_silent(time.monotonic())
        self._send_answers()
        close_server(self._socket, self._drained)

    def _give_way(self, poller: select.poll, waits: bool) -> None:
        """Let workers have the socket until something has come, or for a moment where something is known to be there.

        The descriptor tells of a change once only, and whoever sends may take the news in: so a worker passes it on, and what
        this thread has sent since it looked is a reason to look again.
        """
        if waits and self._has_sent:
            waits = not readable(self._socket)
        self._using.release()
        if waits:
            poller.poll(TICK_MS)
        else:
            time.sleep(GIVE_WAY_S)
        self._using.acquire()
        self._waker.clear()
        self._send_answers()

    def _take_some(self, beside: bool) -> bool:
        """Take a few messages; whether there were no more of them, which is asked `beside` workers only.

        Answers go out between any two, or whoever sends without pause would hold them up. And so it would hold up who has
        been silent for a moment: libzmq takes notice of others' messages only every hundred frames while one of them has
        more, unless it is asked.
        """
        more = not beside or readable(self._socket)
        for number in range(1, BURST + 1):
            if not more:
                return True
            frames = self._receive(NOW if self._on_workers else 0)
            self._has_sent = False
            if beside:
                more = readable(self._socket)  # before a worker is woken, which then waits for Python's lock
            elif not number % NOTICED_EVERY:
                readable(self._socket)
            self._take(frames)
            if self._answers:
                self._send_answers()
            if self._stop:
                return True
        return not more

    def _receive(self, flags: int) -> Frames:
        """One message's frames; a ROUTER's identity is always followed by at least one more.

        What is larger than this server takes is refused for its length, and not copied for that: it would take a tenth of a
        second in which nobody else is heard.
        """
        receive = self._socket.recv
        frames: Frames = [receive(flags)]
        while True:
            frame = receive(NOW, False)
            frames.append(frame.bytes if len(frame) <= self._limit else frame.buffer)  # type: ignore[arg-type]
            if not frame.more:
                return frames

    def _take(self, frames: Frames) -> None:
        """Answer a message, now or through a worker."""
        self._peers.heard(frames[0], time.monotonic())
        message = frames.pop()
        try:
            decoded = self._decode(frames, message)
            if decoded.get("type") == "heartbeat":
                self._send(frames, [encode_heartbeat_answer(self._codec)])
                return
            request = request_from_map(decoded, _framing(frames))
        except BadRequest as exc:
            self.malformed += 1
            envelope = [frame for frame in frames if len(frame) <= LONGEST_FRAME]
            self._send(envelope, [encode_response(self._codec, exc.answer, exc.request_id)])
            return
        self.requests += 1
        self._on_workers += 1
        client = frames[0] if len(frames) < 3 else b"".join(frames[:-1])
        self._runner.start(request, self._reply_to(frames, request, "buffers" in decoded), client=client)

    def _decode(self, envelope: Frames, message: bytes) -> dict[Any, Any]:
        """The message's map, with its buffers taken out of the envelope, which is then to be echoed."""
        if len(envelope) > MOST_FRAMES + MOST_BUFFERS:
            raise BadRequest(f"message of {len(envelope)} frames; expected at most {MOST_FRAMES}, and {MOST_BUFFERS} buffers")
        decoded = decode_message(self._codec, message, self._limit)
        if decoded.get("buffers"):
            take_buffers(decoded, envelope, self._limit - len(message))
        if len(envelope) > 2 or len(envelope[-1]) > LONGEST_FRAME:
            _check(envelope)
        return decoded

    def _reply_to(self, envelope: Frames, request: Request, takes_buffers: bool) -> Reply:
        """What the runner gives the answer to, on whichever thread."""

        def reply(response: Response) -> int:
            answer, size = self._encoded(response, request, takes_buffers)
            if get_ident() == self._own_ident:
                self._finish(envelope, answer, response.ran)
            else:
                self._finish_from_worker(envelope, answer, response.ran)
            return size

        return reply

    def _finish_from_worker(self, envelope: Frames, answer: Answer, ran: bool) -> None:
        if not self._using.acquire(blocking=False):
            self._answers.append((envelope, answer, ran))
            self._waker.wake()
            return
        try:
            self._finish(envelope, answer, ran)
            news = readable(self._socket)
        finally:
            self._using.release()
        if news:
            self._waker.wake()

    def _encoded(self, response: Response, request: Request, takes_buffers: bool) -> tuple[Answer, int]:
        """The answer's frames, and what its bytes come to before they are compressed."""
        buffers: list[bytes] | None = [] if takes_buffers and not request.accept else None
        message = encode_response(self._codec, response, request.request_id, self._limit, buffers)
        if buffers:
            return [*map(uncopied, buffers), message], len(message) + sum(map(len, buffers))
        return [compressed(message, request.accept) if request.accept else message], len(message)

    def _send_answers(self) -> None:
        while self._answers:
            self._finish(*self._answers.popleft())

    def _finish(self, envelope: Frames, answer: Answer, ran: bool) -> None:
        self._on_workers -= 1
        self.refused += not ran
        self._send(envelope, answer)

    def _send(self, envelope: Frames, answer: Answer) -> None:
        """Send, or drop and count: a client that does not read, or is gone, is no reason to wait."""
        self._has_sent = True
        try:
            send_now(self._socket, envelope + answer)
        except zmq.ZMQError as exc:
            self.dropped += 1
            log.debug("answer to %r dropped: %s", envelope[0], exc)


def _framing(envelope: Frames) -> Framing:
    """One empty frame right before the message is a REQ client's."""
    return "basic" if not envelope[-1] and envelope.count(b"") == 1 else "improved"


def _check(envelope: Frames) -> None:
    longest = max(map(len, envelope))
    if len(envelope) > MOST_FRAMES or longest > LONGEST_FRAME:
        raise BadRequest(
            f"{len(envelope)} frames of up to {longest} bytes before the message and its buffers; "
            f"expected at most {MOST_FRAMES} of {LONGEST_FRAME}"
        )
