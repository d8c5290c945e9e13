"""Observing: what is taken, what is refused, and what it leaves behind."""

from __future__ import annotations

import threading

import pytest

from kato_transport import ServiceError

GOOD = {"strings": ["b", "a"], "vectors": [], "emotives": {"joy": 1}, "unique_id": "1"}

WRONG = [
    ("strings", "a"),
    ("strings", ["a", 1]),
    ("vectors", [1, 2]),
    ("vectors", [["x"]]),
    ("vectors", [[True]]),
    ("vectors", [[1], [1, 2]]),
    ("vectors", [[float("nan")]]),
    ("vectors", [[10**400]]),
    ("vectors", [[1e308], [1e308]]),
    ("emotives", ["joy"]),
    ("emotives", {"joy": "much"}),
    ("emotives", {"joy": float("inf")}),
    ("unique_id", ""),
    ("unique_id", 7),
    ("path", "a"),
    ("path", [1]),
    ("metadata", ["a"]),
    ("metadata", {"a": b"bytes"}),
    ("metadata", {"a": float("nan")}),
    ("metadata", {"a": {1: "a"}}),
    ("source", 7),
]


def everything(processor):
    """All that can be read."""
    return (
        processor.time,
        processor.get_stm(),
        processor.get_percept_data(),
        processor.get_cognition_data(),
        processor.get_genome(),
        processor.get_predictions({"unique_id": "1"}),
    )


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_field_is_named_and_changes_nothing(make, show, field, value):
    """The caller learns which field it was."""
    processor = make()
    show(processor, "a", "b")
    before = everything(processor)
    with pytest.raises(ServiceError, match=f"observe: {field} ") as refused:
        processor.observe({**GOOD, field: value})
    assert refused.value.code == "invalid_params"
    assert everything(processor) == before


@pytest.mark.parametrize("field", ["strings", "vectors", "emotives", "unique_id"])
def test_a_missing_field_is_named_and_changes_nothing(make, field):
    """All four are required."""
    processor = make()
    with pytest.raises(ServiceError, match=f"observe: {field} is missing"):
        processor.observe({name: value for name, value in GOOD.items() if name != field})
    assert processor.time == 0


def test_optional_fields_may_be_null(make):
    """Null is as good as left out."""
    processor = make()
    processor.observe({**GOOD, "path": None, "metadata": None, "source": None})
    assert processor.get_percept_data()["metadata"] == {}


def test_an_answer_holds_the_unique_id_and_no_model_where_none_was_learned(make):
    """`auto_learned_model` is for what was learned."""
    assert make().observe(GOOD) == {"unique_id": "1"}


def test_percept_data_is_the_observation_as_it_came_with_the_processor_at_the_end_of_its_path(make):
    """Unsorted, and with the station's name."""
    processor = make(processor_id="p7", name="Ears")
    processor.observe({**GOOD, "vectors": [[1, 2.5]], "path": ["mic"], "metadata": {"k": [1]}, "source": "mic"})
    assert processor.get_percept_data() == {
        "strings": ["b", "a"],
        "vectors": [[1, 2.5]],
        "emotives": {"joy": 1},
        "path": ["mic", "Ears-p7-process"],
        "metadata": {"k": [1]},
    }


def test_there_is_no_percept_before_the_first_observation(make):
    """An empty map."""
    assert make().get_percept_data() == {}


def test_neither_the_callers_nor_the_readers_hands_reach_into_the_percept(make):
    """What was observed is copied in and out."""
    processor = make()
    mine = {**GOOD, "strings": ["a"], "metadata": {"k": []}}
    processor.observe(mine)
    mine["strings"].append("b")
    mine["metadata"]["k"].append(1)
    processor.get_percept_data()["strings"].append("c")
    assert processor.get_percept_data()["strings"] == ["a"]
    assert processor.get_percept_data()["metadata"] == {"k": []}


@pytest.mark.parametrize(("sort", "event"), [(True, ["a", "b", "b"]), (False, ["b", "a", "b"])])
def test_an_event_is_sorted_where_the_gene_says_so(make, show, sort, event):
    """A symbol that is seen twice is there twice."""
    processor = make(sort=sort)
    show(processor, "b a b")
    assert processor.get_stm() == [event]


def test_vector_symbols_stand_before_strings(make):
    """However they would sort together."""
    processor = make()
    processor.observe({**GOOD, "strings": ["A"], "vectors": [[1.0]]})
    (event,) = processor.get_stm()
    assert event[0].startswith("VECTOR|")
    assert event[1:] == ["A"]


def test_time_counts_observations_even_those_without_symbols(make, show):
    """An empty event leaves the short-term memory and the last predictions as they were."""
    processor = make()
    show(processor, "a b", "c")
    processor.learn()
    show(processor, "a b")
    predictions = processor.get_predictions({})
    show(processor, "", unique_id="silent", emotives={"joy": 2})
    assert processor.time == 4
    assert processor.get_stm() == [["a", "b"]]
    assert processor.get_predictions({}) == predictions != []
    assert processor.get_predictions({"unique_id": "silent"}) == []
    assert processor.get_cognition_data()["symbols"] == []


def test_current_emotives_are_the_means_of_those_seen_since_the_last_learning(make, show):
    """Key by key, over the observations that had the key."""
    processor = make()
    show(processor, "a", emotives={"joy": 1, "fear": 4})
    show(processor, "b", emotives={"joy": 2})
    assert processor.get_cognition_data()["emotives"] == {"joy": 1.5, "fear": 4}
    processor.learn()
    assert processor.get_cognition_data()["emotives"] == {"joy": 1.5, "fear": 4}
    show(processor, "a", emotives={"joy": 7})
    assert processor.get_cognition_data()["emotives"] == {"joy": 7}


def test_cognition_data_has_all_of_katos_keys(make, show):
    """The short-term memory under both of its names."""
    processor = make()
    show(processor, "b a", path=["x"], metadata={"k": 1})
    assert processor.get_cognition_data() == {
        "predictions": [],
        "emotives": {},
        "symbols": ["a", "b"],
        "command": "",
        "metadata": {"k": 1},
        "path": ["x", "KatoProcessor-kato-process"],
        "strings": ["b", "a"],
        "vectors": [],
        "short_term_memory": [["a", "b"]],
        "working_memory": [["a", "b"]],
    }


def test_a_full_short_term_memory_learns_itself_and_goes_on_from_its_last_event(make, show):
    """The predictions are those made before the learning."""
    processor = make(max_sequence_length=3)
    show(processor, "a", "b")
    answer = show(processor, "c", unique_id="third")
    assert answer["auto_learned_model"].startswith("MODEL|")
    assert processor.get_model(answer["auto_learned_model"])["sequence"] == [["a"], ["b"], ["c"]]
    assert processor.get_stm() == [["c"]]
    assert processor.get_predictions({}) == []
    show(processor, "b")
    answer = show(processor, "c", unique_id="fifth")
    assert processor.get_model(answer["auto_learned_model"])["sequence"] == [["c"], ["b"], ["c"]]
    predictions = processor.get_predictions({})
    assert [found["frequency"] for found in predictions] == [1]
    assert predictions == processor.get_predictions({"unique_id": "fifth"})


def test_learning_every_event_by_itself_leaves_nothing_behind(make, show):
    """The only event is not kept; one symbol alone is not learned either, and not reported."""
    processor = make(max_sequence_length=1)
    assert "auto_learned_model" in show(processor, "a b")
    assert processor.get_stm() == []
    assert show(processor, "a") == {"unique_id": "some"}
    assert processor.get_stm() == []


def test_a_memory_longer_than_a_lowered_limit_learns_at_the_next_observation(make, show):
    """At least that many events, and even if the observation adds none."""
    processor = make()
    show(processor, "a", "b", "c")
    processor.gene_change("max_sequence_length", 2)
    answer = show(processor, "", emotives={"joy": 1})
    assert processor.get_model(answer["auto_learned_model"])["emotives"] == [{"joy": 1}]
    assert processor.get_stm() == [["c"]]


def test_threads_that_observe_at_once_lose_nothing(make, show):
    """One request that changes it at a time."""
    processor = make(max_sequence_length=10)
    threads = [threading.Thread(target=show, args=(processor, *"abcde" * 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert processor.time == 200
    assert len(processor.get_stm()) < 10
