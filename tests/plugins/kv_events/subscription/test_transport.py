"""The `kv_events` transport, as `kt.subscribe` finds it."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.events import BlockStored, EventsLost
from kato_transport.testing.waiting import until
from kato_transport_kv_events.index import BlockIndex
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.testing import stored


@pytest.fixture
def subscribe(closing):
    """`kt.subscribe` with `kv_events`; closed at the end."""

    def subscribed(endpoint, handler, **options):
        subscription = kt.subscribe(endpoint, handler, **options)
        closing.callback(subscription.close)
        return subscription

    return subscribed


def test_a_subscription_delivers_what_was_and_what_comes(engine, subscribe):
    """In order, gaps replayed; `kv_events` is the transport unless told otherwise."""
    publisher = engine()
    publisher.publish(stored(1))
    events = []
    subscription = subscribe(publisher.endpoint, events.append, replay_endpoint=publisher.replay_endpoint)
    until(lambda: subscription.state() is State.EXACT, "the engine was not followed")
    publisher.wait_for_subscribers()
    publisher.skip(stored(2))
    publisher.publish(stored(3))
    until(lambda: len(events) == 3, "not all events came")
    assert [event.block_hashes for event in events] == [(1,), (2,), (3,)]
    assert events[0].origin.pod == publisher.endpoint


def test_what_is_lost_is_an_event_like_any_other(engine, subscribe):
    """In its place."""
    publisher = engine(replay_endpoint=None)
    events = []
    subscribe(publisher.endpoint, events.append, policy="keep", pod="a", model="m")
    publisher.wait_for_subscribers()
    publisher.publish(stored(1))
    publisher.skip(stored(2))
    publisher.publish(stored(3))
    until(lambda: len(events) == 3, "not all events came")
    assert [type(event) for event in events] == [BlockStored, EventsLost, BlockStored]
    lost = events[1]
    assert (lost.first, lost.last, lost.origin.pod, lost.origin.model) == (1, 1, "a", "m")


def test_an_extensions_handler_hears_it_too(engine, subscribe):
    """As core's `subscribe` promises for every transport."""
    events = []

    class Extension:
        @staticmethod
        @kt.hookimpl
        def kato_register_event_handlers():
            class Handler:
                def handle_event(self, event):
                    events.append(event)

            return [Handler()]

    kt.registry().register(Extension, "hears_too")
    try:
        publisher = engine()
        subscribe(publisher.endpoint, lambda event: None, replay_endpoint=publisher.replay_endpoint)
        publisher.publish(stored(1))
        until(lambda: len(events) == 1, "an extension's handler was not told")
    finally:
        kt.registry().unregister("hears_too")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"replay": "tcp://h:1"}, "have no option 'replay'; they have: .*replay_endpoint"),
        ({"policy": "forget"}, "policy 'forget'; expected one of: drop, keep"),
        ({"probe_interval_s": 0}, "probe_interval_s"),
        ({"ranks": 0}, "ranks"),
        ({"max_rounds": "many"}, "max_rounds"),
    ],
)
def test_options_are_checked(options, says):
    """Unknown ones and impossible ones, before anything runs."""
    with pytest.raises(kt.InvalidSetting, match=says):
        kt.subscribe("tcp://127.0.0.1:9", print, **options)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:5557", "tcp://127.0.0.1", "http://127.0.0.1:5557", ""])
def test_an_endpoint_it_cannot_read_is_told(endpoint):
    """And nothing is left behind."""
    with pytest.raises(kt.InvalidSetting):
        kt.subscribe(endpoint, print)


def test_it_can_be_waited_for_an_engine_that_connects(engine, subscribe):
    """The subscription says where."""
    events = []
    subscription = subscribe("tcp://127.0.0.1:0", events.append, bind=True)
    publisher = engine(endpoint=subscription.endpoint, connects=True, replay_endpoint=None)
    publisher.wait_for_subscribers()
    publisher.publish(stored(1))
    until(lambda: len(events) == 1, "not all events came")


def test_a_subscription_tells_its_counts(engine, subscribe):
    """Of each rank, and of its handler."""
    publisher = engine(ranks=2)
    subscription = subscribe(publisher.endpoint, print, replay_endpoint=publisher.replay_endpoint, ranks=2)
    until(lambda: subscription.state(1) is State.EXACT, "the second rank was not followed")
    assert [stats.rank for stats in subscription.stats()] == [0, 1]
    assert [stats.failures for stats in subscription.handler_stats()] == [0]


def test_it_is_listed_with_what_it_promises():
    """Streams and replays, over what ZeroMQ carries."""
    transport = kt.registry().event_transport("kv_events")
    assert transport.capabilities == kt.Capability.SUBSCRIBE | kt.Capability.REPLAY
    assert transport.schemes == ("tcp", "ipc")
    with pytest.raises(kt.PluginBroken, match="it carries event streams, not requests"):
        kt.connect("tcp://127.0.0.1:9", transport="kv_events")


def test_a_handler_that_keeps_something_is_told_all_that_a_managers_handlers_are(engine):
    """States, and who takes what it says of its own losses."""
    publisher, index = engine(), BlockIndex(max_source_blocks=3)
    with kt.subscribe(publisher.endpoint, index, replay_endpoint=publisher.replay_endpoint, pod="a") as subscription:
        until(lambda: subscription.state() is State.EXACT, "the engine was not followed")
        publisher.publish(*(stored(number, token_ids=[number], block_size=1) for number in range(5)))
        until(lambda: subscription.state() is State.PARTIAL, "what the index gave up was not told")
        assert index.match([4]).pods[0].state is State.PARTIAL
    assert index.match([4]).pods == ()


def test_a_handler_that_raises_is_counted_for_its_engine(engine, subscribe):
    def broken(event):
        raise ValueError(event)

    publisher = engine()
    subscription = subscribe(publisher.endpoint, broken, replay_endpoint=publisher.replay_endpoint)
    publisher.publish(stored(1))
    until(lambda: subscription.stats()[0].errors.get("handle_event") == 1, "the failure was not counted")


def test_an_engine_that_is_not_there_is_counted_and_told(subscribe, caplog):
    """It may come, so nothing ends."""
    subscription = subscribe("tcp://127.0.0.1:1", print)
    until(lambda: subscription.stats()[0].errors.get("connect", 0) > 0, "nothing was counted")
    until(lambda: "tcp://127.0.0.1:1: no connection" in caplog.text, "nothing was told")
