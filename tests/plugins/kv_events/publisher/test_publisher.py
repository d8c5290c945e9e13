"""The publisher behaves as engines do on their two sockets, and misbehaves where it is told to."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
import zmq

from kato_transport.errors import BindFailed, ClientClosed, InvalidSetting
from kato_transport.testing.waiting import LONG_S, until
from kato_transport.zeromq import current_context
from kato_transport_kv_events.testing import (
    DIALECTS,
    EventPublisher,
    Faults,
    cleared,
    encode_batch,
    find_dialect,
    removed,
    stored,
)
from kato_transport_kv_events.wire import decode_batch

from .. import recorded

SILENCE_MS = 200
"""How long nothing has to come for it to count as nothing; where something does come, this is not waited for."""


@contextmanager
def opened(kind, endpoint, **options):
    with current_context().socket(kind) as sock:
        sock.linger = 0
        sock.rcvhwm = 0
        sock.rcvtimeo = int(LONG_S * 1000)
        for name, value in options.items():
            setattr(sock, name, value)
        sock.connect(endpoint)
        yield sock


@contextmanager
def subscribed(engine, rank=0, topic=""):
    """A SUB socket that hears."""
    with opened(zmq.SUB, engine.endpoints[rank]) as sock:
        sock.subscribe(topic)
        engine.wait_for_subscribers(rank=rank)
        yield sock


def wait_until_heard(engine, sock):
    """A socket connects anew only while somebody uses it."""
    until(lambda: sock.poll(1) or engine.subscriptions() > 0, "the subscriber did not come back")


@contextmanager
def asked(endpoint, start, frames=(b"",)):
    """A DEALER socket that asks for a replay."""
    with opened(zmq.DEALER, endpoint) as sock:
        sock.send_multipart([*frames, start.to_bytes(8, "big")])
        yield sock


def replay(endpoint, start):
    """All that comes of a request, up to the end marker."""
    with asked(endpoint, start) as sock:
        answers = [sock.recv_multipart()]
        while answers[-1][-2] != recorded.END:
            answers.append(sock.recv_multipart())
        return answers


def numbers(answers):
    return [int.from_bytes(frames[-2], "big", signed=True) for frames in answers]


def received(sock):
    topic, sequence, payload = sock.recv_multipart()
    return topic, int.from_bytes(sequence, "big"), payload


@pytest.mark.parametrize("name", DIALECTS)
def test_a_batch_arrives_in_three_frames_and_the_dialects_bytes(name):
    """Numbered from 0; and a replay frames the same bytes as that version does."""
    events = [stored(1, 2, token_ids=range(4), block_size=2), removed(1), cleared()]
    with EventPublisher(name, topic="kv@pod@model") as engine, subscribed(engine) as sock:
        assert [engine.publish(*events, timestamp_s=1.5 + number) for number in range(3)] == [0, 1, 2]
        payloads = [encode_batch(events, find_dialect(name), 1.5 + number) for number in range(3)]
        assert [received(sock) for _ in range(3)] == [(b"kv@pod@model", n, payloads[n]) for n in range(3)]
        topic = [b"kv@pod@model"] if find_dialect(name).replay_has_topic else []
        assert replay(engine.replay_endpoint, 1) == [
            [b"", *topic, (1).to_bytes(8, "big"), payloads[1]],
            [b"", *topic, (2).to_bytes(8, "big"), payloads[2]],
            [b"", *[b"" for _ in topic], recorded.END, b""],
        ]


@pytest.mark.parametrize("folder", ["vllm-0.10.2", "vllm-0.26.0", "vllm-0.33.0-shortbuffer", "sglang-0.5.17", "sglang-0.5.23"])
def test_a_recorded_life_replays_as_it_did(folder):
    """The same answers, frame by frame, to the requests that were put to the real publisher."""
    buffer_steps = recorded.expected(folder)["meta"]["buffer_steps"]
    replays = recorded.replays(folder).values()
    payloads = {int.from_bytes(frames[-2], "big"): frames[-1] for replay in replays for frames in replay.replies}
    last = recorded.live(folder)["live.msgpack"][-1].sequence
    with EventPublisher(folder, topic="kv-events", buffer_steps=buffer_steps) as engine:
        for sequence in range(last + 1):
            assert engine.publish_payload(payloads.get(sequence, b"no longer in the buffer")) == sequence
        for (_, start), replies in replays:
            assert replay(engine.replay_endpoint, int.from_bytes(start, "big")) == replies


def test_a_skipped_batch_is_a_gap_that_can_be_replayed():
    """It takes a number and never arrives; as the last one it is a lost tail, which nothing on the live socket shows."""
    with EventPublisher() as engine, subscribed(engine) as sock:
        engine.publish(stored(1))
        assert engine.skip(stored(2)) == 1
        assert engine.publish(stored(3)) == 2
        assert engine.skip(stored(4)) == 3
        assert [received(sock)[1] for _ in range(2)] == [0, 2]
        assert not sock.poll(SILENCE_MS)
        answers = replay(engine.replay_endpoint, 0)
        assert numbers(answers) == [0, 1, 2, 3, -1]
        assert decode_batch(answers[1][-1]).events[0].block_hashes == (2,)


def test_a_short_buffer_begins_later_without_a_word():
    """As an engine's does; one of no batches has the end marker alone."""
    with EventPublisher(buffer_steps=2) as engine:
        for number in range(5):
            engine.publish(stored(number))
        assert numbers(replay(engine.replay_endpoint, 0)) == [3, 4, -1]
        assert numbers(replay(engine.replay_endpoint, 5)) == [-1]
    with EventPublisher(buffer_steps=0) as engine:
        engine.publish(stored(1))
        assert numbers(replay(engine.replay_endpoint, 0)) == [-1]


def test_a_request_without_the_empty_frame_is_never_answered():
    """It stops nobody else's, either."""
    with EventPublisher() as engine:
        with asked(engine.replay_endpoint, 0, frames=()) as sock:
            assert not sock.poll(SILENCE_MS)
        assert numbers(replay(engine.replay_endpoint, 0)) == [-1]


def test_replays_fail_as_told_and_recover():
    """A silent socket, an answer with a hole, an answer without an end; live batches come all the while."""
    with EventPublisher() as engine, subscribed(engine) as sock:
        for number in range(3):
            engine.publish(stored(number))
        engine.faults = Faults(silent=True)
        with asked(engine.replay_endpoint, 0) as asking:
            assert not asking.poll(SILENCE_MS)
        engine.faults = Faults(holes=frozenset({1}))
        assert numbers(replay(engine.replay_endpoint, 0)) == [0, 2, -1]
        engine.faults = Faults(no_end=True)
        with asked(engine.replay_endpoint, 1) as asking:
            assert numbers([asking.recv_multipart() for _ in range(2)]) == [1, 2]
            assert not asking.poll(SILENCE_MS)
        engine.faults = Faults()
        assert numbers(replay(engine.replay_endpoint, 0)) == [0, 1, 2, -1]
        assert [received(sock)[1] for _ in range(3)] == [0, 1, 2]


def test_without_a_replay_socket_there_is_nobody_to_ask():
    """Which is how engines are set up unless told otherwise."""
    with EventPublisher(replay_endpoint=None) as engine, subscribed(engine) as sock:
        assert (engine.replay_endpoint, engine.replay_endpoints) == (None, ())
        engine.publish(cleared())
        assert received(sock)[1] == 0


def test_a_restart_begins_at_0_on_the_same_endpoints():
    """With nothing to replay; subscribers find it again by themselves."""
    with EventPublisher() as engine, subscribed(engine) as sock:
        engine.publish(stored(1))
        engine.publish(stored(2))
        before = (engine.endpoints, engine.replay_endpoints)
        engine.restart()
        assert (engine.endpoints, engine.replay_endpoints) == before
        assert numbers(replay(engine.replay_endpoint, 0)) == [-1]
        assert [received(sock)[1] for _ in range(2)] == [0, 1]
        wait_until_heard(engine, sock)
        assert engine.publish(stored(3)) == 0
        assert received(sock)[1] == 0


def test_each_rank_has_its_own_ports_and_numbers():
    """One port after the other, and its number in the batch."""
    with EventPublisher(ranks=3) as engine:
        for endpoints in (engine.endpoints, engine.replay_endpoints):
            ports = [int(endpoint.rpartition(":")[2]) for endpoint in endpoints]
            assert ports == [ports[0], ports[0] + 1, ports[0] + 2]
        with subscribed(engine, rank=2) as sock:
            engine.publish(stored(1), rank=0)
            assert engine.publish(stored(2), rank=2) == 0
            _, sequence, payload = received(sock)
            assert (sequence, decode_batch(payload).rank) == (0, 2)
        assert [len(replay(endpoint, 0)) for endpoint in engine.replay_endpoints] == [2, 1, 2]


def test_many_ranks_find_ports_in_a_row():
    """However many single ports are taken by others."""
    with ExitStack() as taken:
        for _ in range(200):
            taken.enter_context(socket.create_server(("127.0.0.1", 0)))
        for _ in range(5):
            with EventPublisher(ranks=32) as engine:
                ports = [int(endpoint.rpartition(":")[2]) for endpoint in engine.endpoints]
                assert ports == list(range(ports[0], ports[0] + 32))


def test_a_subscription_is_to_a_prefix_of_the_topic():
    """Others are not counted as hearing what they do not ask for, and do not hear it."""
    with EventPublisher(topic="kv@a") as engine, subscribed(engine, topic="kv@") as sock:
        with subscribed(engine, topic="kv@b") as other:
            engine.wait_for_subscribers(2)
            engine.publish(cleared())
            assert received(sock)[0] == b"kv@a"
            assert not other.poll(SILENCE_MS)
        until(lambda: engine.subscriptions() == 1, "a subscriber that left still counts")
        with pytest.raises(TimeoutError, match="1 of 2 subscriptions"):
            engine.wait_for_subscribers(2, timeout_s=0.05)


def test_a_publisher_may_connect_to_a_subscriber_that_is_bound():
    """As engines do whose endpoint names a host; ranks connect to one port after the other."""
    with current_context().socket(zmq.SUB) as sock:
        sock.linger = 0
        sock.rcvtimeo = int(LONG_S * 1000)
        sock.subscribe("")
        port = sock.bind_to_random_port("tcp://127.0.0.1")
        with EventPublisher(endpoint=f"tcp://127.0.0.1:{port}", connects=True) as engine:
            assert engine.endpoint == f"tcp://127.0.0.1:{port}"
            wait_until_heard(engine, sock)
            engine.publish(cleared())
            assert received(sock)[1] == 0
            engine.restart()
            wait_until_heard(engine, sock)
            engine.publish(cleared())
            assert received(sock)[1] == 0


def test_several_threads_may_publish():
    """Numbers come in order and none twice, replays asked for meanwhile have no holes."""
    with EventPublisher() as engine, subscribed(engine) as sock:
        sock.rcvhwm = 0
        threads = [threading.Thread(target=lambda: [engine.publish(cleared()) for _ in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        asked = numbers(replay(engine.replay_endpoint, 0))
        assert asked == [*range(len(asked) - 1), -1]
        for thread in threads:
            thread.join()
        assert [received(sock)[1] for _ in range(800)] == list(range(800))


def test_a_stopped_publisher_says_so_and_can_be_started():
    """Publishing to nobody by mistake would be hard to find."""
    engine = EventPublisher()
    engine.stop()
    for use in (engine.publish, engine.skip, engine.wait_for_subscribers):
        with pytest.raises(ClientClosed, match="stopped"):
            use()
    engine.start()
    engine.start()
    assert engine.publish(cleared()) == 0
    engine.close()


def test_closing_leaves_no_thread_and_frees_the_ports():
    """At once, twice if need be, and while an answer of 10,000 batches is under way."""
    engine = EventPublisher()
    for _ in range(10_000):
        engine.publish(cleared())
    with asked(engine.replay_endpoint, 0) as sock:
        sock.recv_multipart()
        started = time.monotonic()
        engine.close()
        engine.close()
        assert time.monotonic() - started < LONG_S
    assert not [thread for thread in threading.enumerate() if thread.name == "kato-kv-publisher"]
    again = EventPublisher(endpoint=engine.endpoint, replay_endpoint=engine.replay_endpoint)
    again.close()


def test_an_endpoint_that_is_taken_or_malformed_is_refused():
    """And nothing is left open by half."""
    with EventPublisher() as engine:
        with pytest.raises(BindFailed, match="cannot serve"):
            EventPublisher(endpoint=engine.endpoint)
        with pytest.raises(BindFailed, match="cannot serve"):
            EventPublisher(replay_endpoint=engine.replay_endpoint)
        with pytest.raises(BindFailed, match="cannot serve"):
            EventPublisher(ranks=2, endpoint=engine.endpoint)
    for options in ({}, {"connects": True}):
        with pytest.raises(InvalidSetting, match="tcp://HOST:PORT"):
            EventPublisher(endpoint="5557", **options)


def test_ranks_need_a_port_to_count_from(tmp_path):
    """A path has none; a single rank needs none."""
    with pytest.raises(InvalidSetting, match="ranks need a port"):
        EventPublisher(ranks=2, endpoint=f"ipc://{tmp_path}/live")
    with EventPublisher(endpoint=f"ipc://{tmp_path}/live", replay_endpoint=f"ipc://{tmp_path}/replay") as engine:
        assert numbers(replay(engine.replay_endpoint, 0)) == [-1]
