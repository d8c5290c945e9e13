"""The server of one subject: `python -m bench.rpc.driver.server MODULE VARIANT`.

The module's `serve(variant, ready)` tells `ready` where it can be reached, which is the one line of JSON that comes out
here, and runs until the process is killed: with all its children once its standard input ends.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading


def main() -> None:
    module, variant = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer has to say is no answer

    def ready(endpoint: str) -> None:
        print(json.dumps({"endpoint": endpoint}), file=out, flush=True)

    threading.Thread(target=_end_with_whoever_started_it, daemon=True).start()
    importlib.import_module(module).serve(variant, ready)


def _end_with_whoever_started_it() -> None:
    while os.read(0, 1):  # not by sys.stdin, whose lock a forked child would find taken
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
