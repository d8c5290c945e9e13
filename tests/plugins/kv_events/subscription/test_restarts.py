"""Engines that restart, crash and hang, over real sockets."""

from __future__ import annotations

import pytest

from kato_transport.testing.proxy import FaultProxy
from kato_transport.testing.waiting import until
from kato_transport_kv_events.stream import Policy, State
from kato_transport_kv_events.subscription import Source
from kato_transport_kv_events.testing import stored

from .engine_process import EngineProcess


@pytest.fixture
def process(closing):
    """An engine that can be killed."""
    return closing.enter_context(EngineProcess())


@pytest.mark.parametrize("published", [0, 1, 3, 4, 6], ids=["nothing", "fewer", "as many", "one more", "more"])
def test_a_restart_is_noticed_wherever_the_new_numbers_are(engine, follow, recorder, published):
    """Also where they pass exactly the number that was next, unheard."""
    publisher = engine()
    publisher.publish(stored(1))
    manager = follow(publisher)
    recorder.comes_to(manager, State.EXACT, 1)
    publisher.wait_for_subscribers()
    publisher.publish(stored(2))
    publisher.publish(stored(3))
    recorder.comes_to(manager, State.EXACT, 1, 2, 3)
    publisher.restart()
    new = range(11, 11 + published)
    for block in new:
        publisher.skip(stored(block))
    recorder.comes_to(manager, State.EXACT, *new)
    publisher.wait_for_subscribers()
    publisher.publish(stored(99))
    recorder.comes_to(manager, State.EXACT, *new, 99)
    assert (recorder.forgotten, recorder.lost) == (1, [])


def test_a_restart_amidst_a_stream_leaves_nothing_behind(engine, follow, recorder):
    """Several in a row, each while batches are on their way."""
    publisher = engine()
    manager = follow(publisher)
    for life in range(4):
        for block in range(100):
            publisher.publish(stored(1000 * life + block))
        publisher.restart()
    publisher.publish(stored(7))
    recorder.comes_to(manager, State.EXACT, 7)


@pytest.mark.parametrize(
    ("policy", "state", "kept"),
    [(Policy.DROP, State.PARTIAL, ()), (Policy.KEEP, State.DEGRADED, (1, 2))],
    ids=["drop", "keep"],
)
def test_without_a_replay_socket_a_reconnection_is_a_gap(engine, follow, recorder, policy, state, kept):
    """Numbers above the last prove nothing; a number 0 proves a new life."""
    publisher = engine(replay_endpoint=None)
    manager = follow(publisher, policy=policy)
    publisher.wait_for_subscribers()
    publisher.publish(stored(1))
    publisher.publish(stored(2))
    recorder.comes_to(manager, State.EXACT, 1, 2)
    publisher.restart()
    for block in (11, 12):
        publisher.skip(stored(block))
    publisher.wait_for_subscribers()
    publisher.publish(stored(13))
    recorder.comes_to(manager, state, *kept, 13)
    publisher.restart()
    publisher.wait_for_subscribers()
    publisher.publish(stored(21))
    recorder.comes_to(manager, State.EXACT, 21)


def test_a_killed_engine_is_followed_again_when_it_is_back(process, manager, recorder):
    """Its last moments are nobody's; what the new process has is what counts."""
    manager.add_source(Source(pod="a", endpoint=process.endpoint, replay_endpoint=process.replay_endpoint))
    process.publish(1, 2, 3)
    recorder.comes_to(manager, State.EXACT, 1, 2, 3)
    process.kill()
    until(lambda: manager.state("a") is State.STALE, "an engine that is gone was not stale")
    assert recorder.blocks["a", 0] == {1, 2, 3}
    process.start()
    process.publish(4)
    recorder.comes_to(manager, State.EXACT, 4)
    assert manager.stats()[0].disconnections == 1


def test_a_stopped_engine_is_stale_until_it_goes_on(process, manager, recorder):
    """Its connection looks as good as ever; only its answers stay away."""
    manager.add_source(Source(pod="a", endpoint=process.endpoint, replay_endpoint=process.replay_endpoint))
    process.publish(1)
    recorder.comes_to(manager, State.EXACT, 1)
    process.stop()
    until(lambda: manager.state("a") is State.STALE, "an engine that hangs was not stale")
    assert manager.stats()[0].is_connected
    process.go_on()
    recorder.comes_to(manager, State.EXACT, 1)
    process.publish(2)
    recorder.comes_to(manager, State.EXACT, 1, 2)
    assert recorder.forgotten == 0


def test_a_connection_that_is_cut_and_comes_back_loses_nothing(engine, manager, recorder, closing):
    """The engine is the same: its last batch says so."""
    publisher = engine()
    proxy = FaultProxy("127.0.0.1", int(publisher.endpoint.rpartition(":")[2]))
    closing.callback(proxy.close)
    source = Source(pod="a", endpoint=f"tcp://127.0.0.1:{proxy.port}", replay_endpoint=publisher.replay_endpoint)
    manager.add_source(source)
    recorder.comes_to(manager, State.EXACT)
    publisher.wait_for_subscribers()
    publisher.publish(stored(1))
    recorder.comes_to(manager, State.EXACT, 1)
    for block in (2, 3, 4):
        proxy.cut()
        publisher.publish(stored(block))
        recorder.comes_to(manager, State.EXACT, *range(1, block + 1))
    assert (recorder.forgotten, recorder.lost) == (0, [])
    assert manager.stats()[0].connections == 4
