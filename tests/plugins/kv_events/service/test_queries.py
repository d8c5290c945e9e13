"""The questions, whatever carried them: what is answered, and how what is malformed is refused."""

from __future__ import annotations

import logging

import pytest

import kato_transport as kt
from kato_transport.testing.waiting import until
from kato_transport_kv_events.index import BlockIndex, Snapshot
from kato_transport_kv_events.keeping import Snapshots
from kato_transport_kv_events.service.queries import Queries
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.testing import stored

MALFORMED_MATCHES = [
    ({}, "token_ids"),
    ({"token_ids": None}, "$.token_ids"),
    ({"token_ids": "secret"}, "$.token_ids"),
    ({"token_ids": {"a": 1}}, "$.token_ids"),
    ({"token_ids": [1, "secret"]}, "$.token_ids["),
    ({"token_ids": [1.5]}, "$.token_ids["),
    ({"token_ids": [True]}, "$.token_ids["),
    ({"token_ids": [[1, 2]]}, "$.token_ids["),
    ({"token_ids": [-1]}, "$.token_ids["),
    ({"token_ids": [2**32]}, "$.token_ids["),
    ({"token_ids": [2**70]}, "$.token_ids["),
    ({"token_ids": [], "model": 1}, "$.model"),
    ({"token_ids": [], "lora_name": []}, "$.lora_name"),
    ({"token_ids": [], "lora_name": True}, "$.lora_name"),
    ({"token_ids": [], "cache_salt": 1}, "$.cache_salt"),
    ({"token_ids": [], "lora": "a"}, "lora"),
]
MALFORMED_HASHES = [
    ({}, "hashes"),
    ({"hashes": 1}, "$.hashes"),
    ({"hashes": [1, 2.5]}, "$.hashes[1]"),
    ({"hashes": [True]}, "$.hashes[0]"),
    ({"hashes": [None]}, "$.hashes[0]"),
    ({"hashes": ["xyz"]}, "$.hashes[0]"),
    ({"hashes": [{"hex": "xyz"}]}, "$.hashes[0]"),
    ({"hashes": [{"hex": 1}]}, "$.hashes[0]"),
    ({"hashes": [{"text": "00"}]}, "$.hashes[0]"),
    ({"hashes": [2**64]}, "$.hashes[0]"),
    ({"hashes": [-(2**63) - 1]}, "$.hashes[0]"),
    ({"hashes": [], "model": 1}, "$.model"),
    ({"hashes": [], "token_ids": []}, "token_ids"),
]
MALFORMED_FORGETS = [
    ({}, "pod"),
    ({"pod": 1}, "$.pod"),
    ({"pod": "a", "rank": "0"}, "$.rank"),
    ({"pod": "a", "rank": True}, "$.rank"),
    ({"pod": "a", "rank": -1}, "$.rank"),
    ({"pod": "a", "ranks": 1}, "ranks"),
]


@pytest.fixture
def filled(follow, index, manager):
    """Pod `a` has three blocks of a prompt, pod `b` the first of them; bytes and integers as hashes. Gives the engines."""
    engines = {}
    for pod, hashes in (("a", (b"\1" * 32, -5, 2**64 - 1)), ("b", (7,))):
        engines[pod] = follow(pod)
        engines[pod].publish(stored(*hashes, token_ids=range(4 * len(hashes)), block_size=4))
        until(lambda pod=pod: manager.state(pod) is State.EXACT and index.resident(pod), f"{pod} did not come")
    return engines


def test_a_prompt_is_matched_best_first(filled, queries):
    """Leading blocks by pod and rank, by medium, with the source's state."""
    answer = queries.match(token_ids=list(range(14)), model="", lora_name=None, cache_salt=None)
    assert (answer["block_size"], answer["blocks"]) == (4, 3)
    assert answer["pods"] == [
        {"pod": "a", "rank": 0, "blocks": 3, "by_medium": {"GPU": 3}, "state": "exact", "generation": 0, "block_size": 4},
        {"pod": "b", "rank": 0, "blocks": 1, "by_medium": {"GPU": 1}, "state": "exact", "generation": 0, "block_size": 4},
    ]


@pytest.mark.parametrize("first", [b"\1" * 32, {"hex": "01" * 32}, "01" * 32])
def test_hashes_are_matched_whichever_way_they_are_written(filled, queries, first):
    """Bytes as bytes, as a map or as hex digits; integers as they are, signed and unsigned."""
    answer = queries.match_hashes(hashes=[first, -5, 2**64 - 1, 99])
    assert answer["blocks"] == 4
    assert (answer["pods"][0]["pod"], answer["pods"][0]["blocks"]) == ("a", 3)


def test_sources_are_told_with_state_and_counts(filled, queries):
    """By pod and rank; how long things took is for the metrics."""
    first, second = queries.sources()["sources"]
    assert (first["pod"], second["pod"], first["rank"], first["state"]) == ("a", "b", 0, "exact")
    assert first["events_processed"]["BlockStored"] == 1
    assert first["last_sequence"] == 0
    assert "processing_buckets" not in first


@pytest.mark.parametrize(("params", "named"), MALFORMED_MATCHES)
def test_a_malformed_prompt_is_refused_by_the_name_of_what_is_wrong(queries, caplog, params, named):
    """And without repeating any of it, in the message or the log."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(kt.ServiceError) as refused:
        queries.match(**params)
    assert refused.value.code == kt.ErrorCode.INVALID_PARAMS
    assert named in refused.value.message
    assert "secret" not in refused.value.message + caplog.text


@pytest.mark.parametrize(("params", "named"), MALFORMED_HASHES)
def test_malformed_hashes_are_refused_by_their_place(queries, params, named):
    """Which tells a client's author where to look."""
    with pytest.raises(kt.ServiceError) as refused:
        queries.match_hashes(**params)
    assert refused.value.code == kt.ErrorCode.INVALID_PARAMS
    assert named in refused.value.message


def test_what_a_source_held_is_forgotten(filled, index, manager, queries):
    """It alone, with a new generation; its state is what it was, and what its engine stores later is there."""
    assert queries.forget(pod="a", rank=0) == {"pod": "a", "rank": 0}
    assert [pod["pod"] for pod in queries.match(token_ids=list(range(4)))["pods"]] == ["b"]
    assert manager.state("a") is State.EXACT
    filled["a"].publish(stored(9, token_ids=range(4), block_size=4))
    until(lambda: index.resident("a"), "the block did not come")
    (found,) = (pod for pod in queries.match(token_ids=list(range(4)))["pods"] if pod["pod"] == "a")
    assert (found["blocks"], found["generation"]) == (1, 1)


@pytest.mark.parametrize("unknown", [{"pod": "c"}, {"pod": "a", "rank": 1}])
def test_what_is_not_followed_cannot_be_forgotten(filled, index, queries, unknown):
    """It is told, and does not become known by it."""
    with pytest.raises(kt.ServiceError, match=r"is followed; kv\.sources tells which are") as refused:
        queries.forget(**unknown)
    assert refused.value.code == kt.ErrorCode.NOT_FOUND
    assert index.stats().sources == 2


@pytest.mark.parametrize(("params", "named"), MALFORMED_FORGETS)
def test_a_malformed_source_is_refused_by_the_name_of_what_is_wrong(queries, params, named):
    """As prompts are."""
    with pytest.raises(kt.ServiceError) as refused:
        queries.forget(**params)
    assert refused.value.code == kt.ErrorCode.INVALID_PARAMS
    assert named in refused.value.message


def test_a_snapshot_is_the_whole_index(filled, queries):
    """For another one to begin with."""
    answer = queries.snapshot()
    snapshot = Snapshot.from_bytes(answer["snapshot"])
    assert snapshot.taken_at_s == answer["taken_at_s"]
    assert snapshot.checkpoints.keys() == {("a", 0), ("b", 0)}
    index = BlockIndex()
    index.restore(snapshot)
    assert [pod.pod for pod in index.match(range(4)).pods] == ["a", "b"]


def test_a_snapshot_is_saved_where_the_service_has_its_file(filled, queries, tmp_path):
    """And nowhere else: whoever asks names no path."""
    answer = queries.snapshot(save=True)
    assert answer["path"] == str(tmp_path / "index")
    assert answer["bytes"] == (tmp_path / "index").stat().st_size
    assert Snapshot.load(tmp_path / "index").taken_at_s == answer["taken_at_s"]
    with pytest.raises(kt.ServiceError, match=r"\$\.save"):
        queries.snapshot(save="elsewhere")


def test_a_service_without_a_file_says_so(index, manager):
    """It can be asked for the snapshot all the same."""
    with pytest.raises(kt.ServiceError, match="in no file") as refused:
        Queries(index, manager, Snapshots(index, manager)).snapshot(save=True)
    assert refused.value.code == kt.ErrorCode.NOT_FOUND


@pytest.mark.parametrize("transport", ["improved", "basic", "memory"])
def test_the_queries_are_methods_of_request_transports(filled, queries, transport):
    """Under the same names and with the same answers; bytes travel as bytes."""
    endpoint = "memory://" if transport == "memory" else "tcp://127.0.0.1:0"
    with (
        kt.serve(queries.methods(), endpoint, transport=transport) as server,
        kt.connect(server.endpoint, transport=transport) as client,
    ):
        assert client.call("kv.match", {"token_ids": list(range(4))})["pods"][0]["blocks"] == 1
        assert client.call("kv.match_hashes", {"hashes": [b"\1" * 32]})["pods"][0]["pod"] == "a"
        assert [source["state"] for source in client.call("kv.sources")["sources"]] == ["exact", "exact"]
        assert len(Snapshot.from_bytes(client.call("kv.snapshot")["snapshot"]).checkpoints) == 2
        assert client.call("kv.forget", {"pod": "a"})["rank"] == 0
        assert [pod["pod"] for pod in client.call("kv.match", {"token_ids": list(range(4))})["pods"]] == ["b"]
        with pytest.raises(kt.RemoteError, match="no source 'c'") as refused:
            client.call("kv.forget", {"pod": "c"})
        assert refused.value.code == "not_found"
        with pytest.raises(kt.RemoteError, match=r"\$\.token_ids") as refused:
            client.call("kv.match", {"token_ids": "x"})
        assert refused.value.code == "invalid_params"
