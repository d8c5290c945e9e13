"""Learning: names, frequencies, emotives, statistics; and forgetting."""

from __future__ import annotations

from hashlib import sha1

import pytest

from kato_transport_processor_memory import history
from kato_transport_processor_memory.memory import LearnedModels


def test_a_models_name_is_the_hash_of_its_sequence(make, teach):
    """Python's text of the list of lists."""
    name = teach(make(), "a", "c b")
    assert name == "MODEL|" + sha1(b"[['a'], ['b', 'c']]").hexdigest()


def test_a_model_is_found_by_its_name_with_or_without_prefix(make, teach):
    """And an unknown one is not."""
    processor = make()
    name = teach(processor, "a", "b")
    expected = {"name": name.removeprefix("MODEL|"), "sequence": [["a"], ["b"]], "frequency": 1, "emotives": {}}
    assert processor.get_model(name) == processor.get_model(name.removeprefix("MODEL|")) == expected
    assert processor.get_model("MODEL|none") is None


def test_symbols_of_any_kind_of_text_are_learned(make):
    """Half a surrogate pair, which no encoding takes, included."""
    processor = make()
    processor.observe({"strings": ["\ud800", "é", "'", ""], "vectors": [], "emotives": {}, "unique_id": "\udfff"})
    assert processor.get_model(processor.learn())["sequence"] == [["", "'", "é", "\ud800"]]


@pytest.mark.parametrize("events", [(), ("a",)])
def test_fewer_than_two_symbols_are_not_learned_but_cleared(make, show, teach, events):
    """The answer is the empty string, and emotives are let go, too."""
    processor = make()
    show(processor, "", emotives={"joy": 5})
    assert teach(processor, *events) == ""
    assert processor.get_stm() == []
    name = teach(processor, "a", "b", emotives={"joy": 1})
    assert processor.get_model(name)["emotives"] == [{"joy": 1}]


def test_learning_again_adds_to_the_frequency(make, teach):
    """The name is the same."""
    processor = make()
    assert teach(processor, "a", "b") == teach(processor, "a", "b")
    assert processor.get_model(teach(processor, "a", "b"))["frequency"] == 3


def test_learning_leaves_predictions_percept_and_current_emotives(make, show, teach):
    """Only the short-term memory and the emotives behind the means go."""
    processor = make()
    teach(processor, "a", "b")
    show(processor, "a", "b", emotives={"joy": 2})
    predictions, percept = processor.get_predictions({}), processor.get_percept_data()
    processor.learn()
    assert processor.get_predictions({}) == predictions != []
    assert processor.get_percept_data() == percept
    assert processor.get_cognition_data()["emotives"] == {"joy": 2}
    assert processor.get_stm() == []


def test_emotives_are_kept_for_as_many_learnings_as_persistence_says(make, teach):
    """The oldest go first; learnings without emotives push nothing."""
    processor = make(persistence=2)
    for joy in (1, 2, None, 3):
        name = teach(processor, "a", "b", emotives={} if joy is None else {"joy": joy})
    assert processor.get_model(name)["emotives"] == [{"joy": 2}, {"joy": 3}]
    processor.gene_change("persistence", 1)
    teach(processor, "a", "b", emotives={"joy": 4})
    assert processor.get_model(name)["emotives"] == [{"joy": 4}]
    processor.gene_change("persistence", 0)
    teach(processor, "a", "b", emotives={"joy": 5})
    assert processor.get_model(name)["emotives"] == {}


def test_emotives_whose_mean_is_zero_are_not_learned(make, show, teach):
    """Where nothing else was felt, nothing is pushed."""
    processor = make()
    show(processor, "a", emotives={"joy": 1, "fear": 1})
    name = teach(processor, "b", emotives={"joy": -1, "fear": 2})
    assert processor.get_model(name)["emotives"] == [{"fear": 1.5}]
    name = teach(processor, "c", "d", emotives={"joy": 0})
    assert processor.get_model(name)["emotives"] == {}


def test_statistics_grow_at_every_learning():
    """`a a b` learned twice and `b` with `c` once, counted by hand."""
    memory = LearnedModels()
    for sequence in ((("a", "a"), ("b",)), (("a", "a"), ("b",)), (("b", "c"),)):
        memory.put(memory.learned(sequence, {}, 5))
    counted = memory.statistics
    assert counted.frequency == {"a": 4, "b": 3, "c": 1}
    assert counted.model_member_frequency == {"a": 2, "b": 3, "c": 1}
    assert counted.total_model_frequencies == 3
    assert counted.total_symbols_in_models_frequencies == 6
    assert counted.total_symbol_frequencies == 8
    assert counted.known_symbols == 3
    assert (counted.probability("b"), counted.probability("z"), counted.probability("z", 1e-10)) == (0.5, 0, 1e-10)


def test_only_models_that_share_a_symbol_are_looked_at():
    """With how many symbols they can match at most: a symbol counts as often as both sides hold it."""
    memory = LearnedModels()
    for sequence in ((("a", "a", "b"),), (("x", "y"),), (("b", "c"),)):
        memory.put(memory.learned(sequence, {}, 5))
    assert [(model.position, shared) for model, shared in memory.sharing(("b", "a", "a", "a", "q"))] == [(0, 3), (2, 1)]


def test_clearing_the_short_term_memory_keeps_what_was_learned_and_the_time(make, show, teach):
    """Emotives, symbols, predictions and percept data go; predictions by id stay."""
    processor = make()
    name = teach(processor, "a", "b")
    show(processor, "a", "b", unique_id="kept", emotives={"joy": 1})
    predictions = processor.get_predictions({})
    processor.clear_stm()
    empty = {"metadata": {}, "path": [], "strings": [], "vectors": [], "short_term_memory": [], "working_memory": []}
    assert processor.get_cognition_data() == {"predictions": [], "emotives": {}, "symbols": [], "command": "", **empty}
    assert processor.get_percept_data() == {}
    assert processor.get_predictions({}) == []
    assert processor.get_predictions({"unique_id": "kept"}) == predictions != []
    assert processor.time == 4
    assert processor.get_model(teach(processor, "a", "b", emotives={"fear": 1}))["emotives"] == [{"fear": 1}]
    assert processor.get_model(name)["frequency"] == 2


def test_clearing_all_forgets_everything_but_the_genes(make, show, teach):
    """Predictions by id, too; and the time is 0."""
    processor = make()
    processor.gene_change("persistence", 9)
    name = teach(processor, "a", "b")
    show(processor, "a", "b", unique_id="gone")
    processor.clear_all_memory()
    assert (processor.time, processor.get_stm(), processor.get_percept_data()) == (0, [], {})
    assert processor.get_predictions({}) == processor.get_predictions({"unique_id": "gone"}) == []
    assert processor.get_model(name) is None
    assert processor.get_gene("persistence") == 9
    show(processor, "a", "b")
    assert processor.get_predictions({}) == []


def test_an_id_keeps_its_first_list_that_was_not_empty(make, show, teach):
    """Empty lists before it do not count, nor do lists after it."""
    processor = make()
    show(processor, "a", "b", unique_id="1")
    assert processor.get_predictions({"unique_id": "1"}) == []
    processor.learn()
    show(processor, "a", "b", unique_id="1")
    first = processor.get_predictions({})
    show(processor, "b", unique_id="1")
    assert processor.get_predictions({}) != first
    assert processor.get_predictions({"unique_id": "1"}) == first
    assert processor.get_predictions({"unique_id": "other"}) == []
    assert processor.get_predictions({"unique_id": None}) == processor.get_predictions({})


def test_lists_by_id_are_bounded_in_number(make, show, teach, monkeypatch):
    """The oldest go first."""
    monkeypatch.setattr(history, "MAX_LISTS", 2)
    processor = make()
    teach(processor, "a", "b")
    for unique_id in "1234":
        show(processor, "a b", unique_id=unique_id)
    assert [bool(processor.get_predictions({"unique_id": unique_id})) for unique_id in "1234"] == [False, False, True, True]


def test_lists_by_id_are_bounded_in_size(make, show, teach, monkeypatch):
    """Three predictions in all; yet the newest list stays whatever its size."""
    monkeypatch.setattr(history, "MAX_PREDICTIONS", 3)
    processor = make(recall_threshold=0.0)
    for symbol in "wxyz":
        teach(processor, "a", "b", symbol)
    for unique_id in "12":
        show(processor, "a b", unique_id=unique_id)
    assert processor.get_predictions({"unique_id": "1"}) == []
    assert len(processor.get_predictions({"unique_id": "2"})) == 4
