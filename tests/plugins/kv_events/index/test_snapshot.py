"""An index in a file, and back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kato_transport import DecodeError
from kato_transport.testing.waiting import until
from kato_transport_kv_events import BlockIndex, KVEventManager, Snapshot, Source, State
from kato_transport_kv_events.testing import EventPublisher, removed, stored

from .engines import Engines, Step, steps
from .plain import PlainIndex
from .test_against_plain import check
from .world import FORKS, prefix

IDS = list(range(64))


def source(publisher: EventPublisher) -> Source:
    return Source(pod="a", endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint or "")


def taken(index: BlockIndex) -> Snapshot:
    with KVEventManager() as manager:
        return index.snapshot(manager)


@settings(max_examples=40)
@given(before=st.lists(steps, min_size=20, max_size=30), after=st.lists(steps, min_size=5, max_size=15))
def test_an_index_from_a_snapshot_answers_and_goes_on_as_the_one_before(before: list[Step], after: list[Step]) -> None:
    engines = Engines(BlockIndex(), PlainIndex())
    for step in before:
        engines.take(step)
    index, engines.index = engines.index, BlockIndex()
    engines.index.restore(Snapshot.from_bytes(taken(index).to_bytes()))
    for chain in range(len(FORKS)):
        assert engines.index.match(prefix(chain)).pods == index.match(prefix(chain)).pods
    for step in after:
        engines.take(step)
    check(engines)


def test_restoring_replaces_what_was_there() -> None:
    index = BlockIndex()
    index.handle_event(stored(1, token_ids=IDS[:16], block_size=16))
    index.restore(taken(BlockIndex()))
    assert index.match(IDS).pods == ()
    assert index.stats().blocks == 0


def test_a_source_from_a_snapshot_is_exact_once_its_engine_confirms_where_it_stood(tmp_path: Path) -> None:
    with EventPublisher(buffer_steps=2) as publisher:
        index = BlockIndex()
        with KVEventManager([index]) as manager:
            manager.add_source(source(publisher))
            until(lambda: manager.state("a") is State.EXACT, "the source to be exact")
            for number in range(4):  # the first two are not to be had any more after a while
                parent = number - 1 if number else None
                ids = IDS[16 * number : 16 * number + 16]
                publisher.publish(stored(number, parent_block_hash=parent, token_ids=ids, block_size=16))
            until(lambda: len(index.resident("a")) == 4, "all blocks to be there")
            index.snapshot(manager).save(tmp_path / "index")
        publisher.publish(removed(3))
        snapshot, again = Snapshot.load(tmp_path / "index"), BlockIndex()
        again.restore(snapshot)
        with KVEventManager([again]) as manager:
            manager.add_source(source(publisher), snapshot.of_pod("a"))
            until(lambda: manager.state("a") is State.EXACT and len(again.resident("a")) == 3, "what was missed")
            assert [pod.blocks for pod in again.match(IDS).pods] == [3]


def test_a_source_from_a_snapshot_is_forgotten_where_its_engine_began_anew() -> None:
    with EventPublisher() as publisher:
        index = BlockIndex()
        with KVEventManager([index]) as manager:
            publisher.publish(stored(1, token_ids=IDS[:16], block_size=16))
            manager.add_source(source(publisher))
            until(lambda: len(index.resident("a")) == 1, "the block to be there")
            snapshot = index.snapshot(manager)
        publisher.restart()
        publisher.publish(stored(2, token_ids=IDS[16:32], block_size=16))
        index.restore(snapshot)
        with KVEventManager([index]) as manager:
            manager.add_source(source(publisher), snapshot.of_pod("a"))
            until(lambda: [*index.resident("a")] == [("GPU", None, 2)], "the new life's block alone")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: b"", "does not begin"),
        (lambda data: b"PK" + data[2:], "does not begin"),
        (lambda data: data[:6] + b"\x00\x63" + data[8:], "of version 99"),
        (lambda data: data[:-1], "cut off or changed"),
        (lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:], "cut off or changed"),
        (lambda data: data[:9], "cut off or changed"),
    ],
)
def test_what_is_no_whole_snapshot_is_refused(change, why) -> None:
    data = taken(BlockIndex()).to_bytes()
    with pytest.raises(DecodeError, match=why):
        Snapshot.from_bytes(change(data))


def test_a_snapshot_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "index"
    taken(BlockIndex()).save(path)
    before = path.read_bytes()
    bad = Snapshot(taken_at_s=object(), checkpoints={}, rows=taken(BlockIndex()).rows)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        bad.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["index"]


def test_sources_of_several_ranks_have_their_checkpoints_by_rank() -> None:
    index = BlockIndex()
    with EventPublisher(ranks=2) as publisher, KVEventManager([index]) as manager:
        for rank in range(2):
            publisher.publish(stored(rank, token_ids=IDS[:16], block_size=16), rank=rank)
        for rank, (endpoint, replay) in enumerate(zip(publisher.endpoints, publisher.replay_endpoints, strict=True)):
            manager.add_source(Source(pod="a", rank=rank, endpoint=endpoint, replay_endpoint=replay))
        until(lambda: all(manager.state("a", rank) is State.EXACT for rank in range(2)), "both ranks to be exact")
        assert index.snapshot(manager).of_pod("a").keys() == {0, 1}
