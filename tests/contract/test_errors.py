"""Error answers: the texts that old clients know, kept verbatim, and nothing of the server's inside."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import zmq

import kato_transport as kt

from .conftest import Peer
from .doubles import observation, until
from .raw import NOW, RawClient

KEPT = [
    ("divine", {}, "Unknown method: divine", "unknown_method"),
    ("__class__", {}, "Unknown method: __class__", "unknown_method"),
    ("gene_change", {"gene_name": "courage", "gene_value": 1}, "Unknown gene: courage", "not_found"),
    ("get_model", {"model_id": "MODEL|ffff"}, "Model MODEL|ffff not found", "not_found"),
    ("get_model", {"model_id": "ffff"}, "Model ffff not found", "not_found"),
    ("get_gene", {}, "gene_name parameter required", "invalid_params"),
    ("get_gene", {"gene_name": 5}, "gene_name parameter required", "invalid_params"),
    ("get_gene", {"gene_name": ""}, "gene_name parameter required", "invalid_params"),
    ("gene_change", {}, "gene_name and gene_value parameters required", "invalid_params"),
    ("gene_change", {"gene_name": "classifier"}, "gene_name and gene_value parameters required", "invalid_params"),
    ("gene_change", {"gene_value": 1}, "gene_name and gene_value parameters required", "invalid_params"),
    ("get_model", {}, "model_id parameter required", "invalid_params"),
    ("get_model", {"model_id": None}, "model_id parameter required", "invalid_params"),
]


class Burst(dict[str, Any]):
    """Genes whose reading fails in a way that nobody foresaw."""

    def get(self, key: str, default: Any = None) -> Any:
        raise RuntimeError("the tank\nhas burst")


@pytest.mark.parametrize(("method", "params", "message", "code"), KEPT, ids=[f"{row[0]} {row[1]}" for row in KEPT])
def test_the_texts_of_the_original_are_kept(peer: Peer, method: str, params: Any, message: str, code: str) -> None:
    """Word for word; the code is new, beside them."""
    assert peer.client.ask(method, params) == {"status": "error", "message": message, "code": code}


@pytest.mark.parametrize("field", ["strings", "vectors", "emotives", "unique_id"])
def test_an_observation_without_one_of_its_fields_is_refused_by_name(peer: Peer, field: str) -> None:
    """All four are required, and a refused observation changes nothing."""
    params = observation("u1", "x")
    del params[field]
    answer = peer.client.ask("observe", params)
    assert (answer["status"], answer["code"]) == ("error", "invalid_params")
    assert field in answer["message"]
    assert peer.client.ask("get_name")["interval"] == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("strings", "x"),
        ("strings", [1]),
        ("strings", None),
        ("vectors", [1.0]),
        ("vectors", [["1"]]),
        ("emotives", []),
        ("emotives", {"joy": "much"}),
        ("emotives", {"joy": True}),
        ("unique_id", ""),
        ("unique_id", 1),
    ],
    ids=repr,
)
def test_an_observation_of_a_wrong_type_is_refused_by_name(peer: Peer, field: str, value: Any) -> None:
    """Before it reaches the processor."""
    answer = peer.client.ask("observe", {**observation("u1", "x"), field: value})
    assert (answer["status"], answer["code"]) == ("error", "invalid_params")
    assert field in answer["message"]
    assert peer.processor.observed == ["first", "second"]


@pytest.mark.parametrize("unique_id", [5, ["second"], True], ids=repr)
def test_predictions_asked_for_by_something_that_is_no_id_are_refused(peer: Peer, unique_id: Any) -> None:
    """With the forms that there are."""
    answer = peer.client.ask("get_predictions", {"unique_id": unique_id})
    assert (answer["status"], answer["code"]) == ("error", "invalid_params")
    assert "unique_id" in answer["message"]


def test_no_traceback_leaves_the_server(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    """A processor that breaks is an internal error in one line; the rest is for the log."""
    peer.processor.genes = Burst()
    answer = peer.client.ask("get_gene", {"gene_name": "classifier"})
    assert set(answer) == {"status", "message", "code"}
    assert (answer["status"], answer["code"]) == ("error", "internal")
    assert "Traceback" not in answer["message"]
    assert "\n" not in answer["message"]
    assert ".py" not in answer["message"]
    assert any(record.exc_info for record in caplog.records)


def test_an_answer_that_cannot_be_packed_is_an_error_answer(peer: Peer) -> None:
    """The client is not left waiting."""
    peer.processor.percept = {"strings": object()}
    answer = peer.client.ask("get_percept_data")
    assert (answer["status"], answer["code"]) == ("error", "internal")
    assert peer.client.ask("ping")["timestamp"] == NOW


class Mute(Exception):
    """One that fails once more when it is asked what happened."""

    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(("transport", "kind"), [("basic", zmq.REQ), ("improved", zmq.DEALER)], ids=["basic", "improved"])
def test_an_exception_that_cannot_say_what_it_is_is_answered_as_an_error(
    closing: ExitStack, raw: Callable[[int, str], RawClient], transport: str, kind: int
) -> None:
    """The next call is answered too, and nothing counts as under way."""

    def fail() -> None:
        raise Mute

    server = closing.enter_context(kt.serve({"fail": fail, "fine": dict}, "tcp://127.0.0.1:0", transport=transport))
    client = raw(kind, server.endpoint)
    answer = client.ask("fail", {})
    assert (answer["status"], answer["code"]) == ("error", "internal")
    assert "Mute" in answer["message"]
    assert client.ask("fine", {})["status"] == "okay"
    until(lambda: not server.stats().get("on_workers"), "a call that was answered counts as under way")


@pytest.mark.parametrize(("transport", "kind"), [("basic", zmq.REQ), ("improved", zmq.DEALER)], ids=["basic", "improved"])
def test_of_an_answer_that_is_too_large_only_its_refusal_is_kept(
    closing: ExitStack, raw: Callable[[int, str], RawClient], transport: str, kind: int
) -> None:
    """A repeat gets the same, and the call is not run again."""
    made: list[weakref.ref[kt.Response]] = []

    def large(request: kt.Request) -> kt.Response:
        answer = kt.Response.okay(data="x" * 20_000)
        made.append(weakref.ref(answer))
        return answer

    server = closing.enter_context(kt.serve(large, "tcp://127.0.0.1:0", transport=transport, max_message_bytes=10_000))
    client = raw(kind, server.endpoint)
    once = client.ask("ping", {})["server"] + ".client.1"
    first = client.ask("large", {}, once=once)
    assert (first["status"], first["code"]) == ("error", "too_large")
    assert client.ask("large", {}, once=once) == first
    assert len(made) == 1
    assert (server.stats()["kept"], server.stats()["repeats"]) == (1, 1)
    until(lambda: gc.collect() >= 0 and made[0]() is None, "the answer that could not be sent is kept")
