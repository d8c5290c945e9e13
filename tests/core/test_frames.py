"""Messages in frames: whole, or not at all, also where the peer goes in the midst of one."""

from __future__ import annotations

import pytest
import zmq

from kato_transport.zeromq import frames


class Peer:
    """A socket whose peer goes while one frame is sent. What follows is dropped up to a message's end: libzmq's `lb_t`."""

    def __init__(self, goes_at: bytes) -> None:
        self.taken: list[bytes] = []
        self._goes_at = goes_at
        self._message: list[bytes] = []
        self._dropping = False

    def send(self, frame: bytes, flags: int) -> None:
        more = bool(flags & zmq.SNDMORE)
        if self._dropping:
            self._dropping = more
            return
        if frame == self._goes_at:
            self._dropping, self._message = more and bool(self._message), []
            raise zmq.Again
        self._message.append(frame)
        if not more:
            self.taken += self._message
            self._message = []


@pytest.mark.parametrize("goes_at", [b"a", b"b", b"c", b"d"])
def test_what_follows_a_message_that_was_not_taken_is(goes_at: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever frame it was at."""
    monkeypatch.setattr(frames, "_send", lambda peer, frame, flags: peer.send(frame, flags))
    peer = Peer(goes_at)
    with pytest.raises(zmq.Again):
        frames.send_now(peer, [b"a", b"b", b"c", b"d"])  # type: ignore[arg-type]
    frames.send_now(peer, [b"1", b"2", b"3"])  # type: ignore[arg-type]
    assert peer.taken == [b"1", b"2", b"3"]


def test_a_message_is_sent_in_its_frames() -> None:
    """Over a real socket, whether one or many."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        here.bind("inproc://frames")
        there.connect("inproc://frames")
        for message in ([b"one"], [b"a", b"", b"c"]):
            frames.send_now(here, message)
            assert frames.receive(there) == message
        with pytest.raises(zmq.Again):
            frames.receive(there, frames.NOW)
