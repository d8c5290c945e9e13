"""How a request may be written: params left out or null, ids that come back, keys nobody knows, several processors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import zmq

import kato_transport as kt

from .conftest import Peer
from .doubles import ScriptedProcessor, observation
from .raw import RawClient

WITHOUT_PARAMS = ["ping", "get_name", "learn", "get_predictions", "clear_wm", "clear_all", "get_stm", "get_cognition_data"]


@pytest.mark.parametrize("method", WITHOUT_PARAMS)
@pytest.mark.parametrize("params", [..., None, {}], ids=["left out", "null", "empty"])
def test_params_left_out_or_null_are_no_params(peer: Peer, method: str, params: Any) -> None:
    """All three ways to say nothing say the same."""
    assert peer.client.ask(method, params)["status"] == "okay"


@pytest.mark.parametrize("request_id", [0, 7, 2**63, "seven", b"\x07"], ids=repr)
def test_a_requests_id_comes_back_as_request_id(peer: Peer, request_id: Any) -> None:
    """And `id` stays the processor's."""
    answer = peer.client.ask("get_name", {}, id=request_id)
    assert answer["request_id"] == request_id
    assert answer["id"] == "p1"


def test_a_request_without_an_id_gets_none_back(peer: Peer) -> None:
    """Old basic clients send none."""
    assert "request_id" not in peer.client.ask("get_stm")


@pytest.mark.parametrize(
    ("method", "params"),
    [("observe", {}), ("no_such_method", {}), ("get_stm", [1]), ("get_model", {"model_id": "none"}), (5, {})],
    ids=["refused", "unknown", "not a map", "not found", "not a name"],
)
def test_an_error_answer_carries_the_requests_id_too(peer: Peer, method: Any, params: Any) -> None:
    """So that a client that tells its answers apart by it can."""
    answer = peer.client.ask(method, params, id=41)
    assert answer["status"] == "error"
    assert answer["request_id"] == 41


def test_the_bare_genome_carries_no_request_id(peer: Peer) -> None:
    """It is the manifest and nothing else; the wrapped one is an answer like any other."""
    answer = peer.client.ask("get_genome", id=3)
    assert ("request_id" in answer) == (not peer.improved)
    assert answer.get("id", "p1") == "p1"


def test_keys_that_nobody_knows_are_ignored(peer: Peer) -> None:
    """In the message and among the params."""
    answer = peer.client.ask("get_gene", {"gene_name": "classifier", "colour": "red"}, colour="red", version=[1, 2])
    assert answer == {"status": "okay", "gene_name": "classifier", "gene_value": "CVC"}


def test_answers_hold_text_as_text_and_numbers_as_they_were(peer: Peer) -> None:
    """Strings travel as str, whatever alphabet they are of; integers do not become floats."""
    peer.client.ask("observe", observation("π", "héllo", "漢字", emotives={"n": 1, "x": 1.5}))
    found = peer.client.ask("get_percept_data")["percept_data" if peer.improved else "data"]
    assert found["strings"] == ["héllo", "漢字"]
    assert [type(value) for value in found["emotives"].values()] == [int, float]


@pytest.fixture(params=["basic", "improved"])
def two_processors(request: pytest.FixtureRequest, raw: Callable[[int, str], RawClient], closing: ExitStack) -> RawClient:
    """A raw client of a server that has the processors `left` and `right`."""
    served = [ScriptedProcessor("left", "Lefty"), ScriptedProcessor("right", "Righty")]
    server = closing.enter_context(kt.serve(served, "tcp://127.0.0.1:0", transport=request.param))
    return raw(zmq.DEALER if request.param == "improved" else zmq.REQ, server.endpoint)


def test_each_processor_is_reached_by_its_id(two_processors: RawClient) -> None:
    """What one observes, the other knows nothing of."""
    two_processors.ask("observe", observation("u1", "x"), processor_id="right")
    right = two_processors.ask("get_name", processor_id="right")
    left = two_processors.ask("get_name", processor_id="left")
    assert (right["id"], right["message"], right["interval"]) == ("right", "Righty", 1)
    assert (left["id"], left["message"], left["interval"]) == ("left", "Lefty", 0)


@pytest.mark.parametrize("more", [{}, {"processor_id": ""}, {"processor_id": None}], ids=["left out", "empty", "null"])
def test_the_first_processor_is_meant_where_none_is_named(two_processors: RawClient, more: dict[str, Any]) -> None:
    """As old clients name none."""
    assert two_processors.ask("get_name", **more)["id"] == "left"


def test_ping_lists_the_processors(two_processors: RawClient) -> None:
    """So that a gateway knows whom it stands before."""
    assert two_processors.ask("ping")["processors"] == ["left", "right"]


@pytest.mark.parametrize("method", ["get_name", "get_stm", "learn"])
def test_an_unknown_processor_is_an_error_that_lists_the_known_ones(two_processors: RawClient, method: str) -> None:
    """And nobody else answers in its place."""
    answer = two_processors.ask(method, processor_id="middle")
    assert (answer["status"], answer["code"]) == ("error", "not_found")
    assert answer["message"] == "no processor 'middle'; this server has: left, right"
