"""Raw ASGI under uvicorn, with nothing behind it: the answers that the gateway gives, out of memory.

Run by the Python of an environment of its own, so it knows nothing of this project: the paths and their answers are told as
JSON in the one argument.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import uvicorn

ANSWERS = {path: text.encode() for path, text in json.loads(sys.argv[1]).items()}


async def app(scope: Any, receive: Any, send: Any) -> None:
    body = ANSWERS[scope["path"]]
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(app, http="httptools", loop="uvloop", lifespan="off", log_level="warning", access_log=False)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listening])
