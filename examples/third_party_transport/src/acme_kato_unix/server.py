"""The server: one thread with an event loop for all connections, and core's `Runner` for what is asked.

The thread only moves bytes. What a request means, where it runs, when it is too late or too much for the queue, and how
an exception becomes an answer is the same on every transport, so the `Runner` does it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress

from acme_kato_unix.endpoints import disown, inode, listen, remove, socket_path
from acme_kato_unix.frames import Frame, read_frame, write_frame
from kato_transport import ErrorCode, Request, Response, ServerOptions, Service, fork
from kato_transport.compression import compressed
from kato_transport.model import RequestId
from kato_transport.once import Reply
from kato_transport.runner import Runner
from kato_transport.wire import BadRequest, Heartbeat, decode_request, encode_response

FLUSH_S = 0.5
"""What a closing server gives to answers that are still on their way to a client."""

log = logging.getLogger("acme_kato_unix")


class UnixServer:
    """Runs from its making until `close`."""

    def __init__(self, endpoint: str, service: Service, options: ServerOptions) -> None:
        self.endpoint = endpoint
        self._path = socket_path(endpoint)
        self._codec = options.codec
        self._limit = options.max_message_bytes
        self._listener = listen(self._path)
        self._inode = inode(self._path)
        self._runner = Runner(service, options, features=("correlation", "deadline"), name="acme-unix")
        self._clients: set[asyncio.StreamWriter] = set()
        self._requests = self._malformed = self._dropped = 0
        self._lock = threading.Lock()
        self._closed = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="acme-unix-server", daemon=True)
        self._thread.start()
        self._ready.wait()
        fork.watch(self)

    def stats(self) -> dict[str, int]:
        """Requests taken, messages that were none, clients dropped for not reading, and clients there now."""
        return {
            "requests": self._requests,
            "malformed": self._malformed,
            "dropped": self._dropped,
            "clients": len(self._clients),
        }

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._runner.close()  # answers `busy` from now on, and waits for the answers to what was taken
            remove(self._path, self._inode)
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def after_fork_in_child(self) -> None:
        """The thread is the parent's, and so is the socket file: here, the server counts as closed."""
        disown([self._listener.fileno(), *(_descriptor(writer) for writer in self._clients)])
        fork.abandon((self._loop, self._listener, self._clients))
        self._lock = threading.Lock()
        self._closed = True

    # --- the thread ---------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        acceptor = await asyncio.start_unix_server(self._converse, sock=self._listener)
        self._ready.set()
        await self._stop.wait()
        acceptor.close()
        await asyncio.gather(*map(_hang_up, self._clients))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one client's requests until it leaves; they are answered when they are answered."""
        self._clients.add(writer)
        try:
            while True:
                self._take(await read_frame(reader, self._limit), writer)
        except (OSError, EOFError):
            pass  # it left
        finally:
            self._clients.discard(writer)
            writer.close()

    def _take(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        """Have a request answered; a message that is none is answered with the reason."""
        try:
            request = self._decode(frame)
        except BadRequest as exc:
            self._malformed += 1
            self._reply_to(writer, frame.number, exc.request_id)(exc.answer)
        else:
            self._requests += 1
            self._runner.start(request, self._reply_to(writer, frame.number, request.request_id, request.accept))

    def _decode(self, frame: Frame) -> Request:
        if frame.message is None:
            raise BadRequest(f"message of {frame.size} bytes; this server takes {self._limit}", code=ErrorCode.TOO_LARGE)
        request = decode_request(self._codec, frame.message, limit=self._limit)
        if isinstance(request, Heartbeat):
            raise BadRequest("the unix transport has no heartbeats: a connection that ends says so")
        return request

    def _reply_to(self, writer: asyncio.StreamWriter, number: int, request_id: RequestId, accept: str = "") -> Reply:
        """What the runner gives the answer to, on this thread or on a worker's."""

        def reply(response: Response) -> int:
            message = encode_response(self._codec, response, request_id, self._limit)
            answer = compressed(message, accept)
            with suppress(RuntimeError):  # the loop has ended, and nobody is there to be answered
                self._loop.call_soon_threadsafe(self._send, writer, number, answer)
            return len(message)

        return reply

    def _send(self, writer: asyncio.StreamWriter, number: int, message: bytes) -> None:
        """Send without ever waiting: a client that lets a largest message's worth of answers pile up is dropped."""
        if writer.is_closing():
            return
        if writer.transport.get_write_buffer_size() > self._limit:
            self._dropped += 1
            log.warning("%s: dropped a client that does not read its answers", self.endpoint)
            writer.transport.abort()
            return
        write_frame(writer, number, message)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection once its last answers have left, or soon."""
    writer.close()
    try:
        async with asyncio.timeout(FLUSH_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()


def _descriptor(writer: asyncio.StreamWriter) -> int:
    return int(writer.get_extra_info("socket").fileno())
