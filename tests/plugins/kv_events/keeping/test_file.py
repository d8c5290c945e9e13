"""An index that outlives its process: what is begun with, what is confirmed, and what is given up."""

from __future__ import annotations

import logging
import socket
import threading

import pytest

import kato_transport as kt
from kato_transport.testing.waiting import until
from kato_transport_kv_events.index import BlockIndex, Snapshot
from kato_transport_kv_events.keeping import Keeping, Snapshots, restored
from kato_transport_kv_events.service.running import IndexService
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.subscription import KVEventManager, Source
from kato_transport_kv_events.testing import removed, stored


def source(publisher, pod="a"):
    return Source(pod=pod, endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint)


def blocks(service, pod="a"):
    return {name for _, _, name in service.index.resident(pod)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "index"


@pytest.fixture
def saved(engine, path):
    """Pod `a` with three blocks, kept in a file; gives the engine, whose replays begin behind them."""
    publisher = engine(buffer_steps=2)
    with IndexService(snapshot=path) as service:
        service.keep()
        service.follow(source(publisher))
        until(lambda: service.manager.state("a") is State.EXACT, "the source did not become exact")
        for number in range(3):
            publisher.publish(stored(number, token_ids=range(16 * number, 16 * number + 16), block_size=16))
        until(lambda: blocks(service) == {0, 1, 2}, "the blocks did not come")
    return publisher


def test_an_index_is_saved_at_the_end_and_confirmed_by_its_engine(saved, path):
    """What happened meanwhile is made up for, though the engine's buffer reaches no further back."""
    saved.publish(removed(1))
    with IndexService(snapshot=path) as service:
        service.follow(source(saved))
        until(lambda: service.manager.state("a") is State.EXACT, "the source did not become exact")
        assert blocks(service) == {0, 2}


def test_a_service_that_could_not_start_saves_nothing(saved, path):
    """The file may be that of one that runs."""
    before = path.read_bytes()
    with IndexService() as running:
        taken = running.serve_http("http://127.0.0.1:0")
        with IndexService(snapshot=path) as service:
            service.follow(source(saved))
            with pytest.raises(kt.BindFailed):
                service.serve_http(taken)
    assert path.read_bytes() == before


def test_the_last_save_comes_after_the_last_answer(path):
    """Though the keeping begins once all is served; nothing is saved before."""
    refused = []

    class Index(BlockIndex):
        def snapshot(self, manager):
            with socket.socket() as client:
                refused.append(client.connect_ex(("127.0.0.1", port)) != 0)
            return super().snapshot(manager)

    service = IndexService(Index(), snapshot=path)
    port = int(service.serve_http("http://127.0.0.1:0").rpartition(":")[2])
    service.keep(0)
    assert not path.exists()
    service.close()
    service.close()
    assert refused == [True]
    assert Snapshot.load(path).checkpoints == {}


def test_there_is_nothing_to_keep_without_a_file():
    """And no thread for it."""
    with IndexService() as service:
        service.keep()
        assert "kato-kv-snapshots" not in {thread.name for thread in threading.enumerate()}


def test_what_nobody_follows_yet_is_stale(saved, path):
    """It is answered all the same, for whoever wants it; the next save has it, too."""
    for _ in range(2):
        with IndexService(snapshot=path) as service:
            (pod,) = service.index.match(range(16)).pods
            assert (pod.pod, pod.blocks, pod.state) == ("a", 1, State.STALE)
            service.keep()
    with IndexService(snapshot=path) as service:
        service.follow(source(saved))
        until(lambda: service.manager.state("a") is State.EXACT, "the source did not become exact")
        assert blocks(service) == {0, 1, 2}


def test_what_nobody_follows_at_all_is_given_up(saved, path):
    """With where it stood: followed later, it begins anew, with what the engine can still tell."""
    with IndexService(snapshot=path) as service:
        service.abandon_unclaimed()
        assert service.index.match(range(16)).pods == ()
        service.follow(source(saved))
        until(lambda: service.manager.state("a") is State.PARTIAL, "the source did not become partial")
        until(lambda: blocks(service) == {1, 2}, "what the engine can tell did not come")


def test_what_is_followed_is_not_given_up(saved, path):
    """Only what was left unclaimed."""
    with IndexService(snapshot=path) as service:
        service.follow(source(saved))
        service.abandon_unclaimed()
        until(lambda: service.manager.state("a") is State.EXACT, "the source did not become exact")
        assert blocks(service) == {0, 1, 2}


def test_a_source_that_could_not_be_added_keeps_where_it_stood(saved, path):
    """Whatever was wrong the first time, the second time it goes on."""
    with IndexService(snapshot=path) as service:
        with pytest.raises(kt.InvalidSetting):
            service.follow(Source(pod="a", endpoint=saved.endpoint, replay_endpoint="carrier://pigeon"))
        service.follow(source(saved))
        until(lambda: service.manager.state("a") is State.EXACT, "the source did not become exact")
        assert blocks(service) == {0, 1, 2}


def test_what_no_engine_could_confirm_is_left_out(path):
    """A source of which it is not known where it stood might have lost anything."""
    index = BlockIndex()
    index.handle_event(stored(1, token_ids=range(16), block_size=16))
    with KVEventManager() as manager:
        index.snapshot(manager).save(path)
    begun = BlockIndex()
    assert restored(path, begun) is not None
    assert begun.match(range(16)).pods == ()


def test_a_file_that_is_not_there_is_a_beginning(path, caplog):
    """As a new service has none yet."""
    caplog.set_level(logging.INFO)
    assert restored(path, BlockIndex()) is None
    assert "is not there yet" in caplog.text


def test_a_file_that_cannot_be_read_is_told_and_not_used(path, caplog):
    """It is overwritten in the end."""
    path.write_bytes(b"KATOKV\0\1 cut off")
    with IndexService(snapshot=path) as service:
        assert service.index.stats().blocks == 0
        service.keep()
    assert "cannot be used, beginning with an empty index" in caplog.text
    assert Snapshot.load(path).checkpoints == {}


@pytest.mark.parametrize("name", ["", "no/such/folder"])
def test_a_file_that_could_never_be_written_is_a_mistake(tmp_path, name):
    """Told before anything begins."""
    with pytest.raises(kt.InvalidSetting, match="expected a path"):
        IndexService(snapshot=tmp_path / name)


def test_an_index_is_saved_every_so_often(path):
    """And a last time when it ends."""
    with KVEventManager() as manager:
        snapshots = Snapshots(BlockIndex(), manager, path)
        keeping = Keeping(snapshots, 0.02)
        until(lambda: snapshots.stats().saves >= 3, "it was not saved")
        keeping.close()
        before = snapshots.stats()
        keeping.close()
        assert snapshots.stats() == before
        assert before.bytes == path.stat().st_size
        assert before.failures == 0


def test_a_save_that_fails_is_told_and_tried_again(tmp_path, caplog):
    """The service goes on."""
    folder = tmp_path / "folder"
    with KVEventManager() as manager:
        snapshots = Snapshots(BlockIndex(), manager, folder / "index")
        keeping = Keeping(snapshots, 0.02)
        until(lambda: snapshots.stats().failures >= 2, "a failure was not counted")
        folder.mkdir()
        until(lambda: snapshots.stats().saves >= 1, "it was not tried again")
        keeping.close()
    assert "could not be saved" in caplog.text
    assert "Traceback" not in caplog.text
