"""A real HTTP server that speaks as much of the Kubernetes API as there is to list and watch pods.

Every line of a watch is sent in two chunks, as lines and chunks have nothing to do with each other.
"""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

LABELS = {"app": "engine"}
END, CUT = object(), object()
"""What a watcher may be told beside lines: end the answer as it should be, or break the connection amidst a line."""


def pod(
    name,
    ip="10.0.0.1",
    *,
    namespace="default",
    labels=None,
    annotations=None,
    phase="Running",
    ready=True,
    deleting=False,
) -> dict[str, Any]:
    """A pod, with much of what real ones have and nobody asked for."""
    metadata = {"name": name, "namespace": namespace, "labels": LABELS if labels is None else labels, "uid": f"uid-of-{name}"}
    if annotations:
        metadata["annotations"] = annotations
    if deleting:
        metadata["deletionTimestamp"] = "2026-11-01T00:00:00Z"
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True" if ready else "False"}]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": [{"name": "engine", "restartCount": 0}]}
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}], "hostIP": "192.168.0.1"}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {"containers": [{"name": "engine"}]},
        "status": status,
    }


def failure(code, message):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


class ApiServer:
    """Runs from its making until `close`. What a test sets takes effect with the next request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.token: str | None = None
        self.prefix = ""
        self.refused: dict[str, tuple[int, str]] = {}
        """By `list` or `watch`: the status and the message that it is refused with."""
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Paths and queries, in order."""
        self.answer: bytes | None = None
        """What a list is answered with, whatever there is."""
        self.silent = False
        """Lists are not answered at all."""
        self._lock = threading.Lock()
        self._version = 100
        self._oldest = 0
        self._pods: dict[tuple[str, str], dict[str, Any]] = {}
        self._changes: list[tuple[int, dict[str, Any] | None, dict[str, Any] | None]] = []
        self._watchers: list[Watcher] = []
        self._ending = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"api": self}))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    # --- what a test does ---------------------------------------------------------------------------------------

    def put(self, made: dict[str, Any]) -> None:
        """Add a pod, or change the one of its name."""
        with self._lock:
            before = self._pods.get(key(made))
            self._change(before, made)
            self._pods[key(made)] = made

    def delete(self, name, namespace="default") -> None:
        with self._lock:
            self._change(self._pods.pop((namespace, name)), None)

    def bookmark(self) -> int:
        """Tell all watchers of a version that none of their pods has; gives it."""
        with self._lock:
            self._version += 1
            self._tell(line("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(self._version)}}))
            return self._version

    def compact(self) -> None:
        """Forget what has changed."""
        with self._lock:
            self._version += 1
            self._oldest = self._version
            self._changes.clear()

    def tell(self, what: bytes | object) -> None:
        """A line as it is, `END` or `CUT`, for all watchers."""
        with self._lock:
            self._tell(what)

    @property
    def watchers(self) -> int:
        with self._lock:
            return len(self._watchers)

    def queries(self, verb) -> list[dict[str, str]]:
        """Of all requests so far to `list` or to `watch`."""
        with self._lock:
            return [query for _, query in self.requests if (query.get("watch") == "1") == (verb == "watch")]

    def close(self) -> None:
        self._ending.set()
        self.tell(END)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- what the handlers do -----------------------------------------------------------------------------------

    def page(self, namespace, query) -> dict[str, Any]:
        with self._lock:
            found = [made for made in self._pods.values() if fits(made, namespace, query["labelSelector"])]
            first, limit = int(query.get("continue", 0)), int(query.get("limit", 0)) or len(found)
            metadata = {"resourceVersion": str(self._version)}
            if first + limit < len(found):
                metadata["continue"] = str(first + limit)
            return {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": found[first : first + limit]}

    def watch(self, namespace, query) -> Watcher:
        """One more, who is told first what it missed."""
        since = int(query["resourceVersion"])
        watcher = Watcher(namespace, query["labelSelector"])
        with self._lock:
            if since < self._oldest:
                watcher.told.put(line("ERROR", failure(410, f"too old resource version: {since}")))
                watcher.told.put(END)
            for version, before, after in self._changes:
                if version > since:
                    watcher.changed(before, after)
            self._watchers.append(watcher)
        if self._ending.is_set():
            watcher.told.put(END)
        return watcher

    def leave(self, watcher) -> None:
        with self._lock:
            self._watchers.remove(watcher)

    def wait_for_the_end(self) -> None:
        self._ending.wait()

    def _change(self, before, after) -> None:
        self._version += 1
        before, after = json.loads(json.dumps([before, after]))  # as they are now
        for made in (before, after):
            if made is not None:
                made["metadata"]["resourceVersion"] = str(self._version)
        self._changes.append((self._version, before, after))
        for watcher in self._watchers:
            watcher.changed(before, after)

    def _tell(self, what) -> None:
        for watcher in self._watchers:
            watcher.told.put(what)


class Watcher:
    """Is told of what it selects; of a pod that it selects no more as if it had been deleted."""

    def __init__(self, namespace, selector) -> None:
        self.told: queue.Queue[Any] = queue.Queue()
        self._namespace = namespace
        self._selector = selector

    def changed(self, before, after) -> None:
        match self._selects(before), self._selects(after):
            case False, True:
                self.told.put(line("ADDED", after))
            case True, True:
                self.told.put(line("MODIFIED", after))
            case True, False:
                self.told.put(line("DELETED", after or before))

    def _selects(self, made) -> bool:
        return made is not None and fits(made, self._namespace, self._selector)


class Handler(BaseHTTPRequestHandler):
    api: ApiServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        verb = "watch" if query.get("watch") == "1" else "list"
        with self.api._lock:
            self.api.requests.append((url.path, query))
        if self.api.token is not None and self.headers.get("Authorization") != f"Bearer {self.api.token}":
            return self._say(401, failure(401, "Unauthorized"))
        if verb in self.api.refused:
            code, message = self.api.refused[verb]
            return self._say(code, failure(code, message))
        namespace = self._namespace(url.path)
        if namespace is None:
            return self._say(404, failure(404, "the server could not find the requested resource"))
        if verb == "watch":
            return self._watch(namespace, query)
        if self.api.silent:
            return self.api.wait_for_the_end()
        return self._say(200, self.api.answer or self.api.page(namespace, query))

    def log_message(self, *args) -> None:
        pass

    def _namespace(self, path) -> str | None:
        """Empty for all; None for a path that there is none of."""
        parts = path.removeprefix(self.api.prefix).strip("/").split("/")
        match parts:
            case ["api", "v1", "pods"]:
                return ""
            case ["api", "v1", "namespaces", namespace, "pods"]:
                return namespace
        return None

    def _say(self, code, body) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _watch(self, namespace, query) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        watcher = self.api.watch(namespace, query)
        with suppress(OSError):
            while (what := watcher.told.get()) is not END:
                if what is CUT:
                    self._chunk(b'{"type":"ADDED","obj')
                    self.connection.shutdown(socket.SHUT_RDWR)
                    break
                half = len(what) // 2
                self._chunk(what[:half])
                self._chunk(what[half:])
            else:
                self.wfile.write(b"0\r\n\r\n")
        self.api.leave(watcher)
        self.close_connection = True

    def _chunk(self, data) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()


def key(made) -> tuple[str, str]:
    return made["metadata"]["namespace"], made["metadata"]["name"]


def line(kind, made) -> bytes:
    return json.dumps({"type": kind, "object": made}).encode() + b"\n"


def fits(made, namespace, selector) -> bool:
    """Whether a pod is of a namespace, and has all labels of a selector such as `a=b,c=d`."""
    labels = made["metadata"]["labels"]
    wanted = dict(part.split("=", 1) for part in selector.split(","))
    return namespace in ("", made["metadata"]["namespace"]) and wanted.items() <= labels.items()
