"""The ROUTER server: receivers for the socket, workers for the handlers, and no way to stall it.

While nothing is being worked on, one thread simply blocks in `recv`, the fastest server measured (performance, "Server
designs"). With requests on workers these share the socket with `Receivers`: whoever has run a handler sends the answer itself,
and a thread that finds the socket taken leaves its answer to whoever has it. Sending never blocks: an answer that a
slow reader leaves no room for, or whose client is gone, is dropped and counted.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from typing import Any

import zmq

from kato_transport import Request, Response, ServerOptions, Service
from kato_transport.buffers import LEAST_BYTES
from kato_transport.buffers import MOST as MOST_BUFFERS
from kato_transport.compression import compressed
from kato_transport.model import Framing
from kato_transport.once import Reply, Sent
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
from kato_transport_zmq_improved.hold import Hold
from kato_transport_zmq_improved.receiving import Job, Receivers
from kato_transport_zmq_improved.unread import Unread

TICK_MS = 1_000
"""How often a receiver looks after silent clients, messages or not."""

MOST_FRAMES = 8
LONGEST_FRAME = 255
"""Of an envelope, in bytes; libzmq's identities are no longer. More is no client's; it is refused rather than echoed."""

BURST = 16
"""Messages taken in a row before a receiver looks after anything else."""

SWEEP_S = 1.0

NOTICED_EVERY = 4
"""Messages after which libzmq is asked whether others have sent something."""

MOST_UNREAD = 16
"""Large answers that may wait for one client, if they are as large as any may be."""

GIVE_WAY_S = 20e-6
"""What a receiver sleeps after a full burst while workers have something to do: only who waits hands over Python's lock for
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
        self._unread = Unread(MOST_UNREAD * options.max_message_bytes)
        self._answers: deque[tuple[Frames, Answer, bool]] = deque()
        self._under_way = 0
        self._has_sent = False  # since libzmq was last asked what can be received
        self._comes_back = False  # whether somebody gives way, and will look: nobody else need be told
        self._next_sweep = time.monotonic() + SWEEP_S
        self._closed = self._drained = False
        self._closing = threading.Lock()
        self._closer: threading.Thread | None = None
        self.requests = self.dropped = self.malformed = self.refused = 0
        self._pid = os.getpid()
        self._hold = Hold()  # of the socket, and of all that is counted here
        self._receivers = Receivers(descriptor(self._socket), self._hold, TICK_MS / 1_000, self._look, self._deliver)
        self._receivers.start()

    def stats(self) -> dict[str, Any]:
        """Requests taken, malformed messages, requests refused in place of being run, answers that could not be delivered,
        requests on workers or in a receiver's hands, clients alive; and what `Runner.stats` tells."""
        return {
            "requests": self.requests,
            "malformed": self.malformed,
            "refused": self.refused,
            "dropped": self.dropped,
            "on_workers": self._under_way,
            "clients": len(self._peers),
            **self._runner.stats(),
        }

    def close(self) -> None:
        if os.getpid() != self._pid:  # a forked child has neither the threads nor the socket
            return
        inline = self._hold.is_mine()  # a handler's, which holds up the socket and whoever closes meanwhile
        if self._closing.acquire(blocking=not inline):
            try:
                if not self._closed:
                    self._closed = True
                    self._close(inline)
            finally:
                self._closing.release()
        if self._closer is not None and not inline:
            self._closer.join()

    def _close(self, inline: bool) -> None:
        self._drained = self._under_way > 0
        ended = self._runner.close()
        self._receivers.end()
        knock(zmq.DEALER, self._back_door)
        if inline:  # the socket is let go of after the handler only
            self._closer = threading.Thread(target=self._let_go, args=(ended,), name="kato-improved-closing", daemon=True)
            self._closer.start()
        else:
            self._let_go(ended)

    def _let_go(self, ended: bool) -> None:
        """Close the socket once nobody has it, and let nobody have it again."""
        self._hold.take()
        try:
            self._send_answers()
            close_server(self._socket, self._drained)
        finally:
            self._hold.retire()
        self._receivers.join(ended)

    # --- whoever has the socket ---------------------------------------------------------------------------------

    def _look(self) -> Job | None:
        """Take all that is there; gives the job of the last request where this thread may run it."""
        self._send_answers()
        self._sweep()
        more = self._alone() or self._more()
        while more and not self._receivers.over:
            more, job = self._take_some()
            if job is not None or self._receivers.over:
                return job
            self._sweep()
            if more and self._under_way:
                self._give_way()
            if not more:
                more = self._alone() or (self._has_sent and self._more())
        return None

    def _alone(self) -> bool:
        """Whether nobody else needs the socket: then messages wake nobody else, and this thread may wait in `recv`."""
        if self._under_way:
            return False
        self._receivers.disarm()
        return True

    def _give_way(self) -> None:
        """Let workers have the socket for a moment."""
        self._comes_back = True
        self._hold.let_go()
        time.sleep(GIVE_WAY_S)
        if self._hold.take():
            self._comes_back = False
            self._send_answers()

    def _sweep(self) -> None:
        now = time.monotonic()
        if now > self._next_sweep:
            self._next_sweep = now + SWEEP_S
            self._peers.forget_silent(now)
            self._unread.forget_read()

    def _take_some(self) -> tuple[bool, Job | None]:
        """Take a few messages, whatever is wrong with them; whether there may be more, or a job."""
        try:
            return self._take_burst()
        except zmq.Again:
            more = False
        except Exception:
            more = True
            log.exception("a message was given up")
        self._send_answers()
        return more, None

    def _take_burst(self) -> tuple[bool, Job | None]:
        """Answers go out between any two messages, or whoever sends without pause would hold them up. And so it would hold up
        who has been silent for a moment: libzmq takes notice of others' messages only every hundred frames while one of them
        has more, unless it is asked."""
        for number in range(1, BURST + 1):
            frames = self._receive(0 if self._alone() else NOW)
            more, others_wait = True, self._receivers.others_wait()
            if others_wait or self._under_way or not number % NOTICED_EVERY:
                more = self._more()  # before a worker is woken, which then waits for Python's lock
            may_run = others_wait and not more
            if may_run and self._answers:
                self._send_answers()
                more = self._more()
            job = self._take(frames, may_run and not more)
            if job is not None or self._receivers.over:  # whoever closes sends what is left, and a forked child nothing
                return False, job
            self._send_answers()
            if not more:
                return False, None
        return True, None

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

    def _take(self, frames: Frames, may_run: bool) -> Job | None:
        """Answer a message, now or through a worker, or give the job to do so where this thread `may_run` it."""
        self._peers.heard(frames[0], time.monotonic())
        message = frames.pop()
        try:
            decoded = self._decode(frames, message)
            if decoded.get("type") == "heartbeat":
                self._send(frames, [encode_heartbeat_answer(self._codec)])
                return None
            request = request_from_map(decoded, _framing(frames))
        except BadRequest as exc:
            self.malformed += 1
            envelope = [frame for frame in frames if len(frame) <= LONGEST_FRAME]
            self._send(envelope, [encode_response(self._codec, exc.answer, exc.request_id)])
            return None
        self.requests += 1
        self._under_way += 1
        client = frames[0] if len(frames) < 3 else b"".join(frames[:-1])
        reply = self._reply_to(frames, request, "buffers" in decoded)
        return self._runner.start(request, reply, client=client, lend=may_run)

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

        def reply(response: Response) -> Sent:
            answer, sent = self._encoded(response, request, takes_buffers)
            if self._hold.is_mine():
                self._finish(envelope, answer, response.ran)
                return sent
            self._answers.append((envelope, answer, response.ran))
            if self._deliver(self._receivers.will_look()):
                self._receivers.tell()
            return sent

        return reply

    def _deliver(self, will_look: bool = False) -> bool:
        """Send what was left, on a thread that has not the socket; whether a receiver has to be told of news.

        Everybody who lets go of the socket does so afterwards, so whoever finds it taken need not wait.
        """
        news = False
        while self._answers and self._hold.take(blocking=False):
            try:
                self._send_answers()
                news = not will_look and self._more()
            finally:
                self._hold.let_go()
        return news and not self._comes_back

    def _encoded(self, response: Response, request: Request, takes_buffers: bool) -> tuple[Answer, Sent]:
        """The answer's frames, and what it came to before it was compressed."""
        buffers: list[bytes] = []
        takes_buffers = takes_buffers and not request.accept
        message = encode_response(self._codec, response, request.request_id, self._limit, buffers if takes_buffers else None)
        sent: Sent = len(message) + sum(map(len, buffers)) if buffers else message
        if request.accept:
            message = compressed(message, request.accept)
        if not buffers and len(message) < LEAST_BYTES:
            return [message], sent
        return [uncopied(frame) if len(frame) >= LEAST_BYTES else frame for frame in (*buffers, message)], sent

    def _more(self) -> bool:
        """Whether a message can be received at once; if not, libzmq signals the next one."""
        self._has_sent = False
        return readable(self._socket)

    def _send_answers(self) -> None:
        while self._answers:
            self._finish(*self._answers.popleft())

    def _finish(self, envelope: Frames, answer: Answer, ran: bool) -> None:
        self._under_way -= 1
        self.refused += not ran
        self._send(envelope, answer)

    def _send(self, envelope: Frames, answer: Answer) -> None:
        """Send, or drop and count: a client that does not read, or is gone, is no reason to wait."""
        self._has_sent = True
        if type(answer[0]) is not bytes and not self._unread.takes(envelope[0], answer):
            self.dropped += 1
            log.debug("answer to %r dropped: too many bytes are unread", envelope[0])
            return
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
