"""Recorded frames of real engines, published over real sockets, come to the sets that the recorder came to."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.events import AllBlocksCleared, BlockRemoved, BlockStored
from kato_transport.testing.waiting import until
from kato_transport_kv_events.stream import Policy, State
from kato_transport_kv_events.subscription import KVEventManager, Source

from .. import recorded
from .capture_publisher import CapturePublisher
from .conftest import QUICK

PLAIN = [name for name in recorded.FOLDERS if not name.endswith(("-restart", "-shortbuffer", "-dp3"))]
SHORT = ["vllm-0.33.0-shortbuffer", "sglang-0.5.23-shortbuffer"]


class Places:
    """Blocks by (medium, group, hash), of one source."""

    def __init__(self):
        self.blocks = set()

    @kt.inline
    def handle_event(self, event):
        match event:
            case BlockStored():
                self.blocks |= {(event.medium, event.group_idx, block) for block in event.block_hashes}
            case BlockRemoved():
                self.blocks -= {(event.medium, event.group_idx, block) for block in event.block_hashes}
            case AllBlocksCleared():
                self.blocks.clear()


class Follower:
    """A manager of one source, and what its engine has."""

    def __init__(self, publisher, **fields):
        self.places = Places()
        self.manager = KVEventManager([self.places], settings=QUICK)
        self.manager.add_source(
            Source(**{"pod": "a", "endpoint": publisher.endpoint, "replay_endpoint": publisher.replay_endpoint, **fields})
        )

    def comes_to(self, state, count):
        until(lambda: self.manager.state("a") is state and len(self.places.blocks) == count, f"not {state} with {count}")


@pytest.fixture
def publish(closing):
    """`publish(folder, **options)`: what has recorded frames to publish."""
    return lambda *args, **options: closing.enter_context(CapturePublisher(*args, **options))


@pytest.fixture
def follow(closing):
    """`follow(publisher, **fields of the source)`."""

    def followed(publisher, **fields):
        follower = Follower(publisher, **fields)
        closing.callback(follower.manager.close)
        return follower

    return followed


def final(folder, name="live.msgpack"):
    """Old versions send no medium, which is the GPU."""
    places = recorded.expected(folder)["final"][name]["live_as_set"]
    return {(medium or "GPU", group, block) for medium, group, block in places}


@pytest.mark.parametrize("folder", PLAIN)
def test_a_recorded_engine_is_followed_to_its_last_block(publish, follow, folder):
    """Exact, gaps replayed."""
    publisher = publish(folder)
    follower = follow(publisher)
    publisher.wait_for_subscriber()
    publisher.play()
    last = max(message.sequence for message in recorded.live(folder)["live.msgpack"])
    until(lambda: follower.manager.stats()[0].last_sequence == last, "not all batches came")
    until(lambda: follower.manager.state("a") is State.EXACT, "a whole stream was not exact")
    assert follower.places.blocks == final(folder)


@pytest.mark.parametrize("folder", PLAIN)
def test_a_late_start_comes_to_the_same(publish, follow, folder):
    """By replay alone."""
    publisher = publish(folder)
    publisher.play()
    follower = follow(publisher)
    until(lambda: follower.manager.state("a") is State.EXACT, "a whole stream was not exact")
    assert follower.places.blocks == final(folder)


@pytest.mark.parametrize("folder", ["vllm-0.10.2-dp3", "vllm-0.33.0-dp3", "sglang-0.5.23-dp3"])
def test_ranks_are_followed_one_by_one(publish, follow, folder):
    """Each has numbers of its own."""
    for rank in range(3):
        publisher = publish(folder, rank)
        follower = follow(publisher, rank=rank)
        publisher.wait_for_subscriber()
        publisher.play()
        last = max(message.sequence for message in recorded.live(folder)[f"live-rank{rank}.msgpack"])
        stats = follower.manager.stats
        until(lambda stats=stats, last=last: stats()[0].last_sequence == last, "not all batches came")
        until(lambda stats=stats: stats()[0].state is State.EXACT, "a whole stream was not exact")
        assert stats()[0].errors["rank"] == 0
        assert follower.places.blocks == final(folder, f"live-rank{rank}.msgpack")


@pytest.mark.parametrize("policy", Policy)
def test_a_restart_and_a_gap_with_replay(publish, follow, policy):
    """Numbers fall within one connection, as the recorder saw it."""
    publisher = publish("vllm-0.10.2-restart")
    follower = follow(publisher, policy=policy)
    publisher.wait_for_subscriber()
    publisher.play()
    follower.comes_to(State.EXACT, 18)


@pytest.mark.parametrize(
    ("policy", "state", "count"), [(Policy.DROP, State.PARTIAL, 3), (Policy.KEEP, State.DEGRADED, 15)], ids=["drop", "keep"]
)
def test_a_restart_and_a_gap_without_replay(publish, follow, policy, state, count):
    """What the policy makes of it."""
    publisher = publish("vllm-0.10.2-restart")
    follower = follow(publisher, policy=policy, replay_endpoint="")
    publisher.wait_for_subscriber()
    publisher.play()
    follower.comes_to(state, count)


@pytest.mark.parametrize("folder", SHORT)
@pytest.mark.parametrize(
    ("policy", "state", "replayed", "count"),
    [
        (Policy.DROP, State.PARTIAL, True, 8),
        (Policy.KEEP, State.DEGRADED, True, 26),
        (Policy.DROP, State.PARTIAL, False, 7),
        (Policy.KEEP, State.DEGRADED, False, 25),
    ],
)
def test_a_gap_that_the_buffer_no_longer_has(publish, follow, folder, policy, state, replayed, count):
    """Eight batches are kept, eleven are missing, and the answer has one of them."""
    publisher = publish(folder, buffer_steps=8)
    follower = follow(publisher, policy=policy, **({} if replayed else {"replay_endpoint": ""}))
    publisher.wait_for_subscriber()
    until(lambda: follower.manager.state("a") not in (State.CONNECTING, State.SYNCING), "an idle engine was not followed")
    publisher.play()
    follower.comes_to(state, count)
