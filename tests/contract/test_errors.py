"""Error answers: the texts that old clients know, kept verbatim, and nothing of the server's inside."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Peer
from .doubles import observation
from .raw import NOW

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
