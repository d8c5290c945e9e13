"""A publisher that sends recorded frames as they are, and answers replay requests in the recorded shape."""

from __future__ import annotations

import threading
from collections import deque

import zmq

from .. import recorded

ANY = "tcp://127.0.0.1:0"
QUICK_POLL_MS = 20


class CapturePublisher:
    """One rank of a folder. Batches that were recorded in answers only are in its buffer from when they should have come."""

    def __init__(self, folder, rank=None, *, buffer_steps=10_000):
        suffix = "" if rank is None else f"-rank{rank}"
        self._messages = recorded.live(folder)[f"live{suffix}.msgpack"]
        replies = recorded.replays(folder)[f"replay-from0{suffix}.msgpack"].replies
        self._replies = {reply[-2]: reply for reply in replies}
        self._shape = len(replies[0])
        self._end = replies[-1]
        self._buffer = deque(maxlen=buffer_steps)
        self._lock = threading.Lock()
        self._context = zmq.Context()
        self._live = self._socket(zmq.XPUB)
        self._replay = self._socket(zmq.ROUTER)
        self.endpoint, self.replay_endpoint = (sock.last_endpoint.decode() for sock in (self._live, self._replay))
        self._ending = False
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def wait_for_subscriber(self):
        assert self._live.poll(10_000)
        assert self._live.recv()[0] == 1

    def play(self):
        """Send everything; after a number that fell, the buffer is another life's."""
        expected = 0
        for topic, sequence, payload in self._messages:
            with self._lock:
                if sequence < expected:
                    self._buffer.clear()
                    expected = 0
                for missing in range(expected, sequence):
                    self._keep(topic, missing, None)
                self._keep(topic, sequence, payload)
            self._live.send_multipart([topic, sequence.to_bytes(8, "big"), payload])
            expected = sequence + 1

    def _keep(self, topic, sequence, payload):
        number = sequence.to_bytes(8, "big")
        reply = self._replies.get(number)
        if payload is None and reply is None:  # the recorder's buffer was too short, too
            return
        payload = reply[-1] if payload is None else payload
        self._buffer.append([b"", topic, number, payload] if self._shape == 4 else [b"", number, payload])

    def _answer(self):
        while not self._ending:
            if self._replay.poll(QUICK_POLL_MS):
                identity, empty, start = self._replay.recv_multipart()
                assert empty == b""
                with self._lock:
                    kept = [frames for frames in self._buffer if frames[-2] >= start]
                for frames in [*kept, self._end]:
                    self._replay.send_multipart([identity, *frames])

    def _socket(self, kind):
        sock = self._context.socket(kind)
        sock.sndhwm = 0
        sock.bind(ANY)
        return sock

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._ending = True
        self._thread.join()
        self._context.destroy(linger=0)
