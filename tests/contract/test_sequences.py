"""`observe_sequence`: many observations in one message, in every framing, with the names of KATO's later API."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Peer
from .doubles import observation
from .raw import NOW


def stamp(interval: int) -> dict[str, Any]:
    return {"status": "okay", "id": "p1", "interval": interval, "time_stamp": NOW, "message": "observed"}


def ask(peer: Peer, *observations: Any, **flags: Any) -> dict[str, Any]:
    return peer.client.ask("observe_sequence", {"observations": list(observations), **flags})


def sequences(peer: Peer, names: list[str]) -> list[Any]:
    """Of the models with those names."""
    return [peer.processor.models[name.removeprefix("MODEL|")]["sequence"] for name in names]


def test_a_sequence_is_observed_in_its_order(peer: Peer) -> None:
    """On top of what the short-term memory holds already."""
    answer = ask(peer, observation("u1", "b", "a"), observation("u2", "d"))
    results = [{"unique_id": "u1", "interval": 3}, {"unique_id": "u2", "interval": 4}]
    assert answer == {**stamp(4), "results": results, "auto_learned_models": [], "final_learned_model": ""}
    assert peer.processor.stm == [["c"], ["a", "b"], ["d"]]


def test_what_an_observation_leaves_out_is_empty_and_its_id_made_up(peer: Peer) -> None:
    """As in the later API; no two get the same."""
    answer = ask(peer, {"strings": ["x"]}, {"emotives": {"joy": 1.0}}, {"vectors": [[1]], "unique_id": None})
    ids = [result["unique_id"] for result in answer["results"]]
    assert len(set(ids)) == 3
    assert all(ids)
    assert peer.processor.observed[-3:] == ids
    assert peer.processor.percept["vectors"] == [[1]]
    assert peer.processor.percept["strings"] == []


def test_path_and_metadata_of_each_reach_the_processor(peer: Peer) -> None:
    """As those of an `observe` do."""
    ask(peer, observation("u1", "x", path=["eye"], metadata={"k": 1}))
    assert peer.processor.percept["path"] == ["eye", "Scripted-p1-process"]
    assert peer.processor.percept["metadata"] == {"k": 1}


def test_learning_at_the_end_learns_all_of_it(peer: Peer) -> None:
    """And names the model."""
    answer = ask(peer, observation("u1", "a"), observation("u2", "b"), learn_at_end=True)
    assert answer["auto_learned_models"] == []
    assert sequences(peer, [answer["final_learned_model"]]) == [[["c"], ["a"], ["b"]]]
    assert peer.processor.stm == []


def test_learning_after_each_learns_them_one_by_one(peer: Peer) -> None:
    """What is too short to be learned has no name."""
    peer.processor.clear_stm()
    answer = ask(peer, observation("u1", "a", "b"), observation("u2", "x"), observation("u3", "y", "z"), learn_after_each=True)
    assert sequences(peer, answer["auto_learned_models"]) == [[["a", "b"]], [["y", "z"]]]
    assert answer["final_learned_model"] == ""
    assert peer.processor.stm == []


def test_models_learned_along_the_way_are_named_where_they_were_learned(peer: Peer) -> None:
    """And together, in their order."""
    peer.processor.clear_stm()
    peer.processor.auto_learn_at = 2
    answer = ask(peer, *[observation(f"u{n}", f"s{n}") for n in range(5)], learn_at_end=True)
    along = [result.get("auto_learned_model") for result in answer["results"]]
    assert [bool(name) for name in along] == [False, True, False, True, False]
    assert answer["auto_learned_models"] == [along[1], along[3]]
    assert answer["final_learned_model"] == ""  # a single symbol was left


def test_clearing_between_isolates_them(peer: Peer) -> None:
    """The first one comes on top of what is there; the last one stays."""
    ask(peer, observation("u1", "a", "b"), observation("u2", "x", "y"), clear_stm_between=True)
    assert peer.processor.stm == [["x", "y"]]
    answer = ask(peer, observation("u3", "a", "b"), observation("u4", "v", "w"), clear_stm_between=True, learn_after_each=True)
    assert sequences(peer, answer["auto_learned_models"]) == [[["x", "y"], ["a", "b"]], [["v", "w"]]]


def test_an_empty_sequence_changes_nothing(peer: Peer) -> None:
    """And learns nothing."""
    answer = ask(peer, learn_at_end=True)
    assert answer == {**stamp(2), "results": [], "auto_learned_models": [], "final_learned_model": ""}
    assert peer.processor.stm == [["c"]]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"strings": "text"}, "strings must be a list of strings"),
        ({"vectors": [1]}, "vectors must be"),
        ({"emotives": {"joy": "high"}}, "emotives must be"),
        ({"strings": [], "unique_id": ""}, "unique_id must be"),
        ({"string": ["typo"]}, "must be a map with strings, vectors, emotives, or one of them"),
        ({}, "must be a map"),
        (["a"], "must be a map"),
        (None, "must be a map"),
    ],
    ids=repr,
)
def test_one_bad_observation_is_named_and_none_is_observed(peer: Peer, bad: Any, said: str) -> None:
    """All or nothing."""
    answer = ask(peer, observation("u1", "a"), bad, observation("u3", "b"))
    assert (answer["status"], answer["code"]) == ("error", "invalid_params")
    assert answer["message"].startswith("observe_sequence: observations[1]")
    assert said in answer["message"]
    assert (peer.processor.time, peer.processor.stm) == (2, [["c"]])


@pytest.mark.parametrize("params", [{}, *({"observations": value} for value in (None, {}, "text", 5))], ids=repr)
def test_observations_have_to_be_a_list(peer: Peer, params: dict[str, Any]) -> None:
    """Also where there are none."""
    answer = peer.client.ask("observe_sequence", params)
    assert (answer["code"], "observations must be a list" in answer["message"]) == ("invalid_params", True)


@pytest.mark.parametrize("flag", ["learn_after_each", "learn_at_end", "clear_stm_between"])
@pytest.mark.parametrize("value", [None, 1, "yes"], ids=repr)
def test_a_flag_that_is_none_is_named(peer: Peer, flag: str, value: Any) -> None:
    """Before anything is observed."""
    answer = ask(peer, observation("u1", "a"), **{flag: value})
    assert (answer["code"], f"{flag} must be true or false" in answer["message"]) == ("invalid_params", True)
    assert peer.processor.time == 2


def test_what_the_processor_itself_refuses_names_the_observation_too(peer: Peer) -> None:
    """And says how far it came, as nobody could check that before."""
    peer.processor.refused = "u3"
    answer = ask(peer, *[observation(f"u{n}", "x") for n in range(1, 5)])
    expected = "observe_sequence: observations[2]: no u3 here; the 2 before it were observed"
    assert (answer["code"], answer["message"]) == ("invalid_params", expected)
    assert peer.processor.time == 4
    assert peer.processor.observed[-2:] == ["u1", "u2"]
