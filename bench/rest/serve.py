"""One of this project's two processes: the improved server, or the gateway in front of it.

python -m bench.rest.serve server
python -m bench.rest.serve gateway ENDPOINT
"""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

import kato_transport as kt


@kt.inline
def echo(**params: Any) -> dict[str, Any]:
    return params


@kt.inline
def get_name() -> dict[str, Any]:
    return {"id": "p1", "interval": 0, "time_stamp": time.time(), "message": "Processor"}


def main() -> None:
    role, *behind = sys.argv[1:]
    running = (
        kt.gateway("http://127.0.0.1:0", *behind)
        if role == "gateway"
        else kt.serve({"echo": echo, "get_name": get_name}, "tcp://127.0.0.1:0", transport="improved")
    )
    with running:
        print(running.endpoint, flush=True)
        signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    main()
