"""An index that follows an engine over real sockets."""

from __future__ import annotations

import msgpack

from kato_transport.testing.waiting import until
from kato_transport_kv_events import BlockIndex, KVEventManager, Source, State
from kato_transport_kv_events.testing import EventPublisher, removed, stored

IDS = list(range(64))


def source(publisher: EventPublisher) -> Source:
    return Source(pod="a", endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint or "")


def test_an_index_answers_with_what_an_engine_told_and_how_far_it_can_be_relied_upon() -> None:
    index = BlockIndex()
    with EventPublisher() as publisher, KVEventManager([index]) as manager:
        publisher.publish(stored(1, 2, 3, 4, token_ids=IDS, block_size=16), removed(4))
        manager.add_source(source(publisher))
        until(lambda: manager.state("a") is State.EXACT, "the source to be exact")
        (pod,) = index.match(IDS).pods
    assert (pod.pod, pod.blocks, pod.by_medium, pod.state) == ("a", 3, {"GPU": 3}, State.EXACT)


def test_a_source_is_partial_once_the_index_cannot_read_what_it_stored() -> None:
    index = BlockIndex()
    with EventPublisher() as publisher, KVEventManager([index]) as manager:
        manager.add_source(source(publisher))
        until(lambda: manager.state("a") is State.EXACT, "the source to be exact")
        event = {"type": "BlockStored", "block_hashes": [1], "token_ids": ["no", "ids"], "block_size": 2}
        publisher.publish_payload(msgpack.packb([1.0, [event], 0]))
        until(lambda: manager.state("a") is State.PARTIAL, "the source to be partial")
        assert index.resident("a") == {}


def test_a_source_is_partial_once_the_index_had_to_give_blocks_up() -> None:
    index = BlockIndex(max_blocks=2)
    with EventPublisher() as publisher, KVEventManager([index]) as manager:
        manager.add_source(source(publisher))
        for number in range(3):
            publisher.publish(stored(number, token_ids=IDS[number : number + 16], block_size=16))
        until(lambda: manager.state("a") is State.PARTIAL, "the source to be partial")
        assert index.stats().blocks <= 2
