"""The sockets that ZeroMQ plugins share."""

from __future__ import annotations

import pytest
import zmq

from kato_transport.zeromq import NOW, current_context, knock, open_back_door, readable, receive, send_now, server_socket

KINDS = [(zmq.DEALER, zmq.ROUTER), (zmq.REQ, zmq.REP)]


@pytest.mark.parametrize(("client", "server"), KINDS, ids=["improved", "basic"])
def test_a_knock_is_heard(client: int, server: int) -> None:
    """As an empty message, by a thread that waits in `recv`."""
    sock = server_socket(server, "tcp://127.0.0.1:0", 1024)
    try:
        back_door = open_back_door(sock)
        knock(client, back_door)
        assert sock.poll(5_000)
        assert sock.recv_multipart()[-1] == b""
    finally:
        sock.close(linger=0)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(("client", "server"), KINDS, ids=["improved", "basic"])
def test_a_knock_on_a_door_that_goes_away_ends(client: int, server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's thread may end of itself, just before."""
    sock = server_socket(server, "tcp://127.0.0.1:0", 1024)
    back_door = open_back_door(sock)
    connect = zmq.Socket.connect

    def connect_and_lose(self: zmq.Socket[bytes], endpoint: str) -> object:
        connected = connect(self, endpoint)
        sock.close(linger=0)
        self.poll(200)  # takes in that the door has gone
        return connected

    monkeypatch.setattr(zmq.Socket, "connect", connect_and_lose)
    knock(client, back_door)
    assert sock.closed
    assert not current_context().closed


@pytest.mark.parametrize("frames", [[b"one"], [b"", b"two"], [b"a", b"", b"c" * 100_000]], ids=len)
def test_a_message_comes_in_the_frames_that_it_was_sent_in(frames: list[bytes]) -> None:
    """And where there is none, `Again` says so."""
    with current_context().socket(zmq.PAIR) as ours, current_context().socket(zmq.PAIR) as theirs:
        ours.bind(f"inproc://frames-{len(frames)}")
        theirs.connect(f"inproc://frames-{len(frames)}")
        assert not readable(theirs)
        with pytest.raises(zmq.Again):
            receive(theirs, NOW)
        send_now(ours, frames)
        send_now(ours, [b"next"])
        assert readable(theirs)
        assert [receive(theirs), receive(theirs, NOW)] == [frames, [b"next"]]
