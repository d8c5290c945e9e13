"""The queries over HTTP, as a gateway, an operator and somebody with bad intentions ask them."""

from __future__ import annotations

import gc
import json
import logging
import select
import socket
import threading
from importlib.metadata import version

import pytest

from kato_transport.testing.waiting import until
from kato_transport_kv_events.index import Snapshot
from kato_transport_kv_events.service.http import MAX_BODY_BYTES
from kato_transport_kv_events.service.routes import ROUTES
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.testing import stored

from .test_queries import MALFORMED_HASHES, MALFORMED_MATCHES


@pytest.fixture
def asking(follow, manager, index, serving):
    """Pod `a` has two blocks of four tokens."""
    follow("a").publish(stored(1, b"\2" * 16, token_ids=range(8), block_size=4))
    until(lambda: manager.state("a") is State.EXACT and index.resident("a"), "the blocks did not come")
    return serving()


def test_a_prompt_is_matched(asking):
    """The body of the design's own example."""
    answer = asking.post("/kv/match", token_ids=list(range(9)), model="", lora_name=None, cache_salt=None)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    pod = {"pod": "a", "rank": 0, "blocks": 2, "by_medium": {"GPU": 2}, "state": "exact", "generation": 0, "block_size": 4}
    assert answer.json == {"block_size": 4, "blocks": 2, "pods": [pod]}


def test_hashes_are_matched(asking):
    """Integers, and bytes in either way of writing them."""
    for written in ({"hex": "02" * 16}, "02" * 16):
        answer = asking.post("/kv/match_hashes", hashes=[1, written])
        assert answer.status == 200
        assert [pod["blocks"] for pod in answer.json["pods"]] == [2]


def test_a_prompt_that_nobody_has_is_no_error(asking):
    """It has its blocks, and no pods."""
    answer = asking.post("/kv/match", token_ids=[7] * 8)
    assert (answer.status, answer.json) == (200, {"block_size": 4, "blocks": 2, "pods": []})


def test_sources_are_told(asking):
    """With their states."""
    answer = asking.get("/kv/sources")
    assert answer.status == 200
    assert [(source["pod"], source["state"]) for source in answer.json["sources"]] == [("a", "exact")]


def test_what_an_engine_held_that_was_reset_is_forgotten(asking):
    """One that is not followed is a 404."""
    answer = asking.post("/kv/forget", pod="a", rank=0)
    assert (answer.status, answer.json) == (200, {"pod": "a", "rank": 0})
    assert asking.post("/kv/match", token_ids=list(range(8))).json["pods"] == []
    answer = asking.post("/kv/forget", pod="b")
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert asking.post("/kv/forget", pod=None).status == 400


def test_a_snapshot_is_fetched_and_saved(asking, tmp_path):
    """GET gives it; POST has the service save its own file."""
    fetched = asking.get("/kv/snapshot")
    assert (fetched.status, fetched.headers["content-type"]) == (200, "application/octet-stream")
    assert Snapshot.from_bytes(fetched.body).checkpoints.keys() == {("a", 0)}
    saved = asking.send("POST", "/kv/snapshot")
    assert saved.status == 200
    assert saved.json["path"] == str(tmp_path / "index")
    assert Snapshot.load(saved.json["path"]).checkpoints.keys() == {("a", 0)}


def test_a_snapshot_that_cannot_be_saved_is_an_error(asking, tmp_path):
    """With what is wrong, and no traceback."""
    (tmp_path / "index").mkdir()
    answer = asking.send("POST", "/kv/snapshot")
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert str(tmp_path / "index") in answer.json["message"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_an_orchestrator_is_told_that_it_is_there(asking, path):
    """As soon as it listens, whatever its engines do: their states are in every answer."""
    assert (asking.get(path).status, asking.get(path).json) == (200, {"status": "okay"})


def test_metrics_are_told_in_prometheus_words(asking):
    """With the content type that Prometheus expects."""
    answer = asking.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert b'kato_kv_connection_status{pod="a",rank="0"} 1.0' in answer.body


def test_the_api_is_described(asking):
    """Each route, with its bodies."""
    described = asking.get("/openapi.json").json
    assert described["info"]["version"] == version("kato-transport-kv-events")
    assert set(described["paths"]) == {route.path for route in ROUTES}
    body = described["paths"]["/kv/match"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["token_ids"]
    assert list(described["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == ["text/plain"]


@pytest.mark.parametrize(("params", "named"), MALFORMED_MATCHES)
def test_a_malformed_prompt_is_a_400(asking, caplog, params, named):
    """In JSON, by the name of what is wrong, and with nothing of it in the log."""
    caplog.set_level(logging.DEBUG)
    answer = asking.post("/kv/match", **params)
    assert (answer.status, answer.json["status"], answer.json["code"]) == (400, "error", "invalid_params")
    assert named in answer.json["message"]
    assert "secret" not in answer.json["message"] + caplog.text


@pytest.mark.parametrize(("params", "named"), MALFORMED_HASHES)
def test_malformed_hashes_are_a_400(asking, params, named):
    """By their place."""
    answer = asking.post("/kv/match_hashes", **params)
    assert (answer.status, answer.json["code"]) == (400, "invalid_params")
    assert named in answer.json["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b"null",
        b"[1]",
        b'"text"',
        b"\xff\xfe",
        b'{"token_ids": [NaN]}',
        b"[" * 100_000,
        b'{"token_ids": [' + b"9" * 5000 + b"]}",
    ],
    ids=["empty", "blank", "cut", "null", "array", "string", "no UTF-8", "NaN", "deep", "huge number"],
)
def test_a_body_that_is_no_json_object_is_a_400(asking, body):
    """Whatever it is."""
    answer = asking.send("POST", "/kv/match", body)
    assert (answer.status, answer.json["code"]) == (400, "invalid_params")


def test_a_body_that_is_too_large_is_a_413(serving):
    """Refused before it is read; the limit is the options', and never more than a prompt can need."""
    small = serving(max_message_bytes=1000)
    answer = small.post("/kv/match", token_ids=list(range(1000)))
    assert (answer.status, answer.json["code"]) == (413, "too_large")
    large = serving()
    connection = large.open()
    connection.putrequest("POST", "/kv/match")
    connection.putheader("content-length", str(MAX_BODY_BYTES + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [("GET", "/kv/match", 405), ("POST", "/kv/sources", 405), ("GET", "/kv", 404), ("DELETE", "/metrics", 405)],
)
def test_what_is_not_there_is_told(asking, verb, path, status):
    """With the verbs that there are."""
    answer = asking.send(verb, path)
    assert (answer.status, answer.json["status"]) == (status, "error")
    assert (status == 405) == ("allow" in answer.headers)


def test_what_is_not_http_is_refused_in_json(asking):
    """And the connection closed."""
    with socket.create_connection(("127.0.0.1", int(asking.endpoint.rpartition(":")[2]))) as raw:
        raw.sendall(b"hello\r\n\r\n")
        answer = b""
        while chunk := raw.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == "error"


def test_a_query_that_fails_is_a_500_without_a_traceback(serving, caplog):
    """What failed stands in the log; the prompt does not."""

    def fail(**params):
        raise RuntimeError("the index is broken")

    answer = serving({"kv.match": fail}).post("/kv/match", token_ids=[123456789])
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert "Traceback" not in answer.json["message"]
    assert "the index is broken" in caplog.text
    assert "123456789" not in caplog.text


def test_too_many_queries_at_once_are_told_to_come_again(serving):
    """503, with the time after which to try."""
    gate, entered = threading.Event(), threading.Semaphore(0)

    def wait(**params):
        entered.release()
        gate.wait(20)
        return {}

    busy = serving({"kv.sources": wait}, workers=1, queue_limit=1)
    connections = [busy.open() for _ in range(4)]
    try:
        connections[0].request("GET", "/kv/sources")
        assert entered.acquire(timeout=10)
        for connection in connections[1:]:
            connection.request("GET", "/kv/sources")
        by_socket = {connection.sock: connection for connection in connections}
        until(lambda: len(select.select(by_socket, (), (), 0)[0]) == 2, "not two of four were told")
        for sock in select.select(by_socket, (), (), 0)[0]:
            answer = by_socket.pop(sock).getresponse()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert json.load(answer)["code"] == "busy"
        assert busy.get("/healthz").status == 200
        gate.set()
        assert [connection.getresponse().status for connection in by_socket.values()] == [200, 200]
    finally:
        gate.set()
        for connection in connections:
            connection.close()


def test_many_queries_on_one_connection(asking):
    """It is kept."""
    connection = asking.open()
    for _ in range(20):
        connection.request("POST", "/kv/match", json.dumps({"token_ids": list(range(8))}))
        assert json.load(connection.getresponse())["pods"][0]["blocks"] == 2
    connection.close()


def test_nothing_is_left_of_a_server_that_was_closed(closing, follow, serving):
    """No thread, and nobody listens."""
    before = threading.active_count()
    asking = serving()
    assert asking.get("/healthz").status == 200
    closing.close()
    until(lambda: threading.active_count() <= before, "a thread is left")
    gc.collect()
    with pytest.raises(ConnectionRefusedError):
        asking.get("/healthz")
