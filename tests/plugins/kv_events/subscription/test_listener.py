"""Engines that connect to a bound endpoint, alone and several at once."""

from __future__ import annotations

import pytest
import zmq

import kato_transport as kt
from kato_transport.testing.waiting import until
from kato_transport.zeromq import readable
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.subscription import Source
from kato_transport_kv_events.subscription.listener import rank_of
from kato_transport_kv_events.testing import encode_batch, find_dialect, stored

ANY = "tcp://127.0.0.1:0"


@pytest.fixture
def listen(manager):
    """A bound source: `listen(pod, **fields)` gives its endpoint."""

    def listening(pod: str, endpoint: str = ANY, **fields):
        manager.add_source(Source(pod=pod, endpoint=endpoint, bind=True, **fields))
        return next(stats.endpoint for stats in manager.stats() if stats.pod == pod)

    return listening


def test_an_engine_that_connects_is_followed(engine, manager, recorder, listen):
    """Without a replay socket its first number decides, as anywhere."""
    endpoint = listen("a")
    publisher = engine(endpoint=endpoint, connects=True, replay_endpoint=None)
    publisher.wait_for_subscribers()
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    publisher.skip(stored(2))
    publisher.publish(stored(3))
    recorder.comes_to(manager, State.PARTIAL, 3)


def test_an_idle_engine_is_known_by_its_replay_socket(engine, manager, recorder, listen):
    """Nothing tells that it connected."""
    publisher = engine()
    publisher.publish(stored(1))
    listen("a", replay_endpoint=publisher.replay_endpoint)
    recorder.comes_to(manager, State.EXACT, 1)


def test_engines_that_share_an_endpoint_do_not_disturb_each_other(engine, manager, recorder, listen):
    """One restarts, and the others stay exact without so much as a question.

    Its next life begins when the end of the one before has been read: whose batch one on the heels of it is may be unclear, and
    nobody has a replay here.
    """
    endpoint = listen("a", topic="kv@a")
    listen("b", endpoint, topic="kv@b")
    a = engine(endpoint=endpoint, connects=True, topic="kv@a", replay_endpoint=None)
    b = engine(endpoint=endpoint, connects=True, topic="kv@b")
    for publisher in (a, b):
        publisher.wait_for_subscribers(2)
    a.publish(stored(1))
    b.publish(stored(2))
    recorder.comes_to(manager, State.EXACT, 1)
    recorder.comes_to(manager, State.EXACT, 2, pod="b")
    for life in range(3):
        b.stop()
        until(lambda: not manager.stats()[1].is_connected, "the end of a connection was not noticed")
        b.start()
        b.wait_for_subscribers(2)
        b.publish(stored(10 + life))
        recorder.comes_to(manager, State.EXACT, 10 + life, pod="b")
        a.publish(stored(3 + life))
    recorder.comes_to(manager, State.EXACT, 1, 3, 4, 5)
    assert {stats.pod: stats.connections for stats in manager.stats()} == {"a": 1, "b": 4}


def test_an_engine_whose_next_life_speaks_before_its_last_one_is_read_to_its_end(engine, manager, recorder, listen):
    """Its batch is told of by nobody, as it is unclear whose it is; its replay has it, and is asked at once."""
    endpoint = listen("another", topic="kv@another")
    publisher = engine(endpoint=endpoint, connects=True, topic="kv@a")
    listen("a", endpoint, topic="kv@a", replay_endpoint=publisher.replay_endpoint)
    publisher.wait_for_subscribers(2)
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    sock = manager._listeners[0]._socket

    def comes_back(checkpoints):
        """While nothing is read; subscriptions go out when the socket is looked at."""
        publisher.restart()
        until(lambda: readable(sock) or publisher.subscriptions() == 2, "the engine was not subscribed to")
        publisher.publish(stored(2))
        until(lambda: readable(sock), "the batch did not come")

    manager.at_rest(comes_back)
    recorder.comes_to(manager, State.EXACT, 2)
    assert manager.stats()[0].connections == 1, "the batch was told of"
    publisher.publish(stored(3))
    recorder.comes_to(manager, State.EXACT, 2, 3)


def test_ranks_of_one_topic_are_told_apart_by_their_batches(engine, manager, recorder, listen):
    """They say of which rank they are."""
    endpoint = listen("a", topic="kv")
    manager.add_source(Source(pod="a", endpoint=endpoint, bind=True, topic="kv", rank=1))
    first = engine(endpoint=endpoint, connects=True, topic="kv", replay_endpoint=None)
    second = engine(endpoint=endpoint, connects=True, topic="kv", replay_endpoint=None)
    for publisher in (first, second):
        publisher.wait_for_subscribers()
    dialect = find_dialect("vllm-0.33.0")
    first.publish(stored(1))
    second.publish_payload(encode_batch((stored(2),), dialect, 1.0, 1))
    recorder.comes_to(manager, State.EXACT, 1)
    recorder.comes_to(manager, State.EXACT, 2, rank=1)


def test_a_restart_without_a_replay_socket_is_noticed(engine, manager, recorder, listen):
    """Its connection ended, and another began: the engine may be another."""
    endpoint = listen("a")
    publisher = engine(endpoint=endpoint, connects=True, replay_endpoint=None)
    publisher.wait_for_subscribers()
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    publisher.stop()
    until(lambda: not manager.stats()[0].is_connected, "the end of a connection was not noticed")
    publisher.start()
    publisher.skip(stored(2))
    publisher.wait_for_subscribers()
    publisher.publish(stored(3))
    recorder.comes_to(manager, State.PARTIAL, 3)


def test_what_no_source_asks_for_goes_to_nobody(engine, manager, recorder, listen):
    """A topic that only begins alike is not the source's, if another fits better."""
    endpoint = listen("a", topic="kv@a")
    listen("ab", endpoint, topic="kv@ab")
    publisher = engine(endpoint=endpoint, connects=True, topic="kv@abc", replay_endpoint=None)
    publisher.wait_for_subscribers(2)
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1, pod="ab")
    assert recorder.blocks["a", 0] == set()


def test_two_sources_cannot_be_told_apart_by_nothing(listen):
    """The same topic and rank at the same endpoint."""
    endpoint = listen("a")
    with pytest.raises(kt.InvalidSetting, match="'a' has the same topic and rank"):
        listen("b", endpoint)


def test_a_taken_endpoint_is_told(listen, engine):
    """And the source is not followed."""
    publisher = engine()
    with pytest.raises(kt.BindFailed, match="cannot serve at"):
        listen("a", publisher.endpoint)


def test_a_closed_listener_gives_its_port_back(manager, listen):
    """As soon as its last source is removed."""
    endpoint = listen("a")
    manager.remove_source("a")
    with zmq.Context() as context, context.socket(zmq.SUB) as sock:
        sock.bind(endpoint)


def test_messages_that_are_no_batches_cost_nobody_else(engine, manager, recorder, listen):
    """Of one frame, of four, with a number of the wrong length; the connection stays."""
    endpoint = listen("a")
    publisher = engine(endpoint=endpoint, connects=True, replay_endpoint=None)
    publisher.wait_for_subscribers()
    with zmq.Context() as context, context.socket(zmq.XPUB) as rude:
        rude.linger = 0
        rude.connect(endpoint)
        assert rude.recv() == b"\x01"
        for frames in ([b"x"], [b"", b"12345678", b"", b""], [b"", b"1", b""], [b"", b"1"]):
            rude.send_multipart(frames)
        publisher.publish(stored(1))
        recorder.comes_to(manager, State.EXACT, 1)
        until(lambda: manager.listener_stats()[0].malformed == 4, "malformed messages were not counted")
        publisher.publish(stored(2))
        recorder.comes_to(manager, State.EXACT, 1, 2)


@pytest.mark.parametrize("rank", [0, 1, 127, 128, 255])
@pytest.mark.parametrize("dialect", ["vllm-0.33.0", "vllm-0.10.2"])
def test_a_batch_tells_its_rank_without_being_decoded(rank, dialect):
    """By its last bytes."""
    assert rank_of(encode_batch((stored(1),), find_dialect(dialect), 1.0, rank)) == rank


@pytest.mark.parametrize(
    "payload", [b"", b"\x93", b"garbage", b"\x92\xcb\0\0\0\0\0\0\0\0\x90", b"\x93\xcb\0\0\0\0\0\0\0\0\x90\xc0"]
)
def test_a_batch_without_a_rank_is_of_rank_0(payload):
    """As old engines send them; or it is no batch at all."""
    assert rank_of(payload) == 0


def test_a_second_engine_under_one_name_is_not_mixed_in(engine, manager, recorder, listen):
    """The first one keeps the name for as long as it speaks."""
    endpoint = listen("a")
    first, second = (engine(endpoint=endpoint, connects=True, replay_endpoint=None) for _ in range(2))
    for publisher in (first, second):
        publisher.wait_for_subscribers()
    first.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    second.publish(stored(2))
    first.publish(stored(3))
    recorder.comes_to(manager, State.EXACT, 1, 3)
    until(lambda: manager.listener_stats()[0].unrouted == 1, "a batch that is nobody's was not counted")
    first.close()
    until(lambda: not manager.stats()[0].is_connected, "the end of a connection was not noticed")
    second.publish(stored(4))
    recorder.comes_to(manager, State.PARTIAL, 4)
