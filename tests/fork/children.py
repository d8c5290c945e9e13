"""Children of one of multiprocessing's start methods call, while four threads of their parent are calling, too.

`python children.py TRANSPORT START_METHOD` prints how the children ended and how often the threads were answered.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import kato_transport as kt

CHILDREN = 4
THREADS = 4


def child(number: int, inherits: bool) -> None:
    """What one does: the client is its parent's or its fork server's, unless it was started from nothing."""
    import inherited

    assert (os.getpid() != inherited.MADE_IN) == inherits
    inherited.use_in_every_way(f"child {number}")
    if number % 2:
        inherited.client.close()


def call_on(answered: list[int], thread: int, stop: threading.Event) -> None:
    """What one of the parent's threads does."""
    import inherited

    while not stop.is_set():
        value = f"thread {thread}/{answered[thread]}"
        assert inherited.client.call("echo", {"value": value})["value"] == value
        answered[thread] += 1


def main(transport: str, start_method: str) -> None:
    os.environ["KATO_TEST_TRANSPORT"] = transport
    context = multiprocessing.get_context(start_method)
    context.set_forkserver_preload(["inherited"])
    with kt.serve({"echo": lambda value: {"value": value}}, "tcp://127.0.0.1:0", transport=transport) as server:
        os.environ["KATO_TEST_ENDPOINT"] = server.endpoint
        import inherited

        answered, stop = [0] * THREADS, threading.Event()
        with ThreadPoolExecutor(THREADS) as threads:
            callers = [threads.submit(call_on, answered, thread, stop) for thread in range(THREADS)]
            while not all(answered) and not any(caller.done() for caller in callers):
                time.sleep(0.002)
            before = list(answered)
            children = [context.Process(target=child, args=(n, start_method != "spawn")) for n in range(CHILDREN)]
            for each in children:
                each.start()
            for each in children:
                each.join(40)
            stop.set()
            for caller in callers:
                caller.result()
        inherited.use_in_every_way("parent")
        inherited.client.close()
    went_on = [after > earlier for after, earlier in zip(answered, before, strict=True)]
    print(json.dumps({"children": [each.exitcode for each in children], "went_on": went_on}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
