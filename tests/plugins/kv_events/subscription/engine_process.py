"""A publisher in a process of its own, to be stopped or killed: `python engine_process.py [ENDPOINT REPLAY_ENDPOINT]`.

It says where it listens, in one line of JSON, and then publishes a block for each number on a line of its input.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress

from kato_transport_kv_events.testing import EventPublisher, stored


class EngineProcess:
    """The process; its endpoints stay the same over its lives."""

    def __init__(self):
        self._given = []
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._given = json.loads(self._process.stdout.readline())
        self.endpoint, self.replay_endpoint = self._given

    def publish(self, *blocks):
        for block in blocks:
            print(block, file=self._process.stdin, flush=True)

    def stop(self):
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.kill()


def main(endpoint="tcp://127.0.0.1:0", replay_endpoint="tcp://127.0.0.1:0"):
    with EventPublisher(endpoint=endpoint, replay_endpoint=replay_endpoint) as publisher:
        sys.stdout.write(json.dumps([publisher.endpoint, publisher.replay_endpoint]) + "\n")
        sys.stdout.flush()
        for line in sys.stdin:
            publisher.publish(stored(int(line)))


if __name__ == "__main__":
    main(*sys.argv[1:])
