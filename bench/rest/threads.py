"""A gateway as the original's was designed: a thread for each request, with a DEALER of that thread's own.

    python -m bench.rest.threads PER ENDPOINT

`PER` is `request` or `connection`. Per request, HTTP/1.0 closes after each answer, and the thread ends with its socket. That
is still kinder than the original, which made a context for each request and let five connections wait. Per connection,
HTTP/1.1 keeps thread and socket, as the original never did. Nothing is checked, timed out or retried.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgpack
import zmq

_context = zmq.Context()
_own = threading.local()


def get_name(endpoint: str) -> dict[str, Any]:
    """One call over the thread's own socket, in the original's framing; the socket goes with the thread."""
    if not hasattr(_own, "socket"):
        _own.socket = _context.socket(zmq.DEALER)
        _own.socket.linger = 0
        _own.socket.connect(endpoint)
    _own.socket.send(msgpack.packb({"method": "get_name", "params": {}}))
    answer: dict[str, Any] = msgpack.unpackb(_own.socket.recv())
    return answer


class Handler(BaseHTTPRequestHandler):
    """`GET /p1/ping`, whatever the path."""

    endpoint: str

    def do_GET(self) -> None:
        own = get_name(self.endpoint)
        name = own["message"]
        stamp = {key: own[key] for key in ("interval", "time_stamp")}
        body = json.dumps({"id": "p1", **stamp, "status": "okay", "message": name, "processor": name}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- as the base class names it
        """Nothing."""


class Threads(ThreadingHTTPServer):
    """A thread for each connection, which in HTTP/1.0 is each request."""

    request_queue_size = 2048
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """wrk hangs up at the end of a turn."""


def main() -> None:
    per, Handler.endpoint = sys.argv[1:]
    Handler.protocol_version = "HTTP/1.0" if per == "request" else "HTTP/1.1"
    Handler.wbufsize = -1  # head and body in one packet
    server = Threads(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
