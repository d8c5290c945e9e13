"""Every row of the contract's Methods table, in both vocabularies and both columns: exact keys, exact words."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Peer
from .doubles import observation
from .raw import NOW

CLEARS = {
    "clear_short_term_memory": "stm-cleared",
    "clear_stm": "stm-cleared",
    "clear_working_memory": "wm-cleared",
    "clear_wm": "wm-cleared",
}
READS = {
    "get_short_term_memory": "short_term_memory",
    "get_stm": "short_term_memory",
    "get_working_memory": "working_memory",
    "get_wm": "working_memory",
}


def stamp(interval: int = 2) -> dict[str, Any]:
    """The keys that tell who answers, and when."""
    return {"status": "okay", "id": "p1", "interval": interval, "time_stamp": NOW}


def data(peer: Peer, key: str, value: Any) -> dict[str, Any]:
    """An answer whose key the column chooses."""
    return {"status": "okay", key if peer.improved else "data": value}


def model_name(peer: Peer) -> str:
    """The name of the one model that the processor has learned."""
    return next(iter(peer.processor.models))


def test_ping_answers_pong_with_the_time_and_what_a_client_may_use(peer: Peer) -> None:
    """Old clients read `message`; new ones read `features`."""
    answer = peer.client.ask("ping")
    features, life = answer.pop("features"), answer.pop("server")
    assert isinstance(life, str)
    assert "dedupe" in features
    assert answer == {"status": "okay", "message": "pong", "timestamp": NOW, "processors": ["p1"]}
    assert "msgpack" in features
    assert ("correlation" in features) == (peer.server.transport == "improved")


def test_get_name_says_who_answers(peer: Peer) -> None:
    """The processor's id, interval and name."""
    assert peer.client.ask("get_name") == {**stamp(), "message": "Scripted"}


def test_observe_counts_an_interval_and_gives_the_unique_id_back(peer: Peer) -> None:
    """The minimal observation."""
    answer = peer.client.ask("observe", observation("u1", "x"))
    assert answer == {**stamp(3), "message": "observed", "unique_id": "u1"}


def test_observe_takes_path_and_metadata(peer: Peer) -> None:
    """The optional fields reach the percept data."""
    peer.client.ask("observe", observation("u1", "x", path=["eye"], metadata={"k": 1}, vectors=[[1.0, 2]], emotives={"e": -1}))
    found = peer.client.ask("get_percept_data")
    percept = {
        "strings": ["x"],
        "vectors": [[1.0, 2]],
        "emotives": {"e": -1},
        "path": ["eye", "Scripted-p1-process"],
        "metadata": {"k": 1},
    }
    assert found == data(peer, "percept_data", percept)


def test_observe_names_the_model_that_was_learned_along_the_way(peer: Peer) -> None:
    """`auto_learned_model` is there only where one was learned."""
    peer.processor.auto_learn_at = 2
    answer = peer.client.ask("observe", observation("u1", "x"))
    learned = answer.pop("auto_learned_model")
    assert learned.startswith("MODEL|")
    assert len(learned) == len("MODEL|") + 40
    assert answer == {**stamp(3), "message": "observed", "unique_id": "u1"}


def test_learn_names_the_model(peer: Peer) -> None:
    """The basic column has the word `learning-called` for its message."""
    peer.client.ask("observe", observation("u1", "x"))
    answer = peer.client.ask("learn", {"learning_flag": True, "manual_flag": False, "auto_act_flag": False})
    name = answer["model_name"]
    assert answer == {**stamp(3), "model_name": name, "message": name if peer.improved else "learning-called"}
    assert name.startswith("MODEL|")
    assert len(name) == len("MODEL|") + 40
    assert set(name.removeprefix("MODEL|")) <= set("0123456789abcdef")


def test_learn_of_too_little_answers_an_empty_name(peer: Peer) -> None:
    """Nothing was learned, and that is no error."""
    answer = peer.client.ask("learn", {})
    assert answer == {**stamp(), "model_name": "", "message": "" if peer.improved else "learning-called"}


@pytest.mark.parametrize(
    "params",
    [..., None, {}, {"unique_id": None}, {"unique_id": {}}, {"unique_id": {"unique_id": "second"}}],
    ids=["no params", "null params", "empty params", "null", "an empty map", "the map in the map"],
)
def test_predictions_carry_the_model_prefix(peer: Peer, params: Any) -> None:
    """However the last observation, or one by its id, is asked for."""
    answer = peer.client.ask("get_predictions", params)
    prediction = {"name": f"MODEL|{model_name(peer)}", "frequency": 1, "similarity": 1.0}
    assert answer == data(peer, "predictions", [prediction])


def test_predictions_of_an_unknown_observation_are_an_empty_list(peer: Peer) -> None:
    """No error."""
    answer = peer.client.ask("get_predictions", {"unique_id": {"unique_id": "never seen"}})
    assert answer == data(peer, "predictions", [])


@pytest.mark.parametrize(("method", "word"), CLEARS.items())
def test_a_clear_speaks_the_vocabulary_it_was_asked_in(peer: Peer, method: str, word: str) -> None:
    """But in the basic column it always says `wm-cleared`, as the original did in both eras."""
    assert peer.client.ask(method) == {**stamp(), "message": word if peer.improved else "wm-cleared"}
    assert peer.processor.stm == []


@pytest.mark.parametrize("method", ["clear_all_memory", "clear_all"])
def test_clear_all_starts_the_intervals_anew(peer: Peer, method: str) -> None:
    """Interval: observations since the last clear-all."""
    assert peer.client.ask(method) == {**stamp(0), "message": "all-cleared"}
    assert peer.processor.models == {}


@pytest.mark.parametrize(("method", "key"), READS.items())
def test_the_short_term_memory_is_under_the_key_of_the_name_that_was_asked_for(peer: Peer, method: str, key: str) -> None:
    """Both vocabularies, and `data` in the basic column."""
    assert peer.client.ask(method) == data(peer, key, [["c"]])


def test_percept_data_is_an_empty_map_after_a_clear(peer: Peer) -> None:
    """Not null, and not an error."""
    peer.client.ask("clear_wm")
    assert peer.client.ask("get_percept_data") == data(peer, "percept_data", {})


def test_cognition_data_holds_the_memory_under_both_eras_keys(peer: Peer) -> None:
    """The one place where both vocabularies are spoken at once."""
    found = peer.client.ask("get_cognition_data")
    cognition = found["cognition_data" if peer.improved else "data"]
    assert set(found) == {"status", "cognition_data" if peer.improved else "data"}
    assert cognition["working_memory"] == cognition["short_term_memory"] == [["c"]]
    assert {"predictions", "emotives", "symbols"} <= set(cognition)


def test_a_gene_is_read_by_name(peer: Peer) -> None:
    """With its value."""
    answer = peer.client.ask("get_gene", {"gene_name": "recall_threshold"})
    assert answer == {"status": "okay", "gene_name": "recall_threshold", "gene_value": 0.1}


def test_an_unknown_gene_is_null_and_no_error(peer: Peer) -> None:
    """As the original has it."""
    answer = peer.client.ask("get_gene", {"gene_name": "courage"})
    assert answer == {"status": "okay", "gene_name": "courage", "gene_value": None}


@pytest.mark.parametrize("value", [0.6, 0, False, "none", [1, 2]], ids=repr)
def test_a_changed_gene_is_confirmed_with_its_value(peer: Peer, value: Any) -> None:
    """A value that counts as false is a value."""
    answer = peer.client.ask("gene_change", {"gene_name": "recall_threshold", "gene_value": value})
    assert answer == {"status": "okay", "message": f"Gene recall_threshold updated to {value}"}
    assert peer.client.ask("get_gene", {"gene_name": "recall_threshold"})["gene_value"] == value


@pytest.mark.parametrize("prefix", ["", "MODEL|"])
def test_a_model_is_found_with_or_without_its_prefix(peer: Peer, prefix: str) -> None:
    """The answer's name has none."""
    name = model_name(peer)
    answer = peer.client.ask("get_model", {"model_id": prefix + name})
    model = {"name": name, "sequence": [["a", "b"]], "frequency": 1, "emotives": [{"joy": 0.5}]}
    assert answer == {"status": "okay", "model": model}


def test_a_model_without_emotives_has_an_empty_map_of_them(peer: Peer) -> None:
    """`{}`, not `[]`."""
    peer.processor.models[model_name(peer)]["emotives"] = []
    assert peer.client.ask("get_model", {"model_id": model_name(peer)})["model"]["emotives"] == {}


def test_the_genome_is_wrapped_for_basic_and_bare_for_improved(peer: Peer) -> None:
    """The bare manifest has no status key."""
    genome = {"id": "p1", "name": "Scripted", "recall_threshold": 0.1, "max_predictions": 100, "classifier": "CVC"}
    assert peer.client.ask("get_genome") == (genome if peer.improved else {"status": "okay", "genome": genome})
