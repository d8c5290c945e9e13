"""Predictions: figures worked out by hand, the split into past, present and future, and their order."""

from __future__ import annotations

from hashlib import sha1
from math import log, log2, sqrt

import pytest

from kato_transport_processor_memory import measures

FIELDS = [
    "type",
    "name",
    "frequency",
    "emotives",
    "matches",
    "past",
    "present",
    "future",
    "missing",
    "extras",
    "potential",
    "evidence",
    "similarity",
    "fragmentation",
    "snr",
    "entropy",
    "hamiltonian",
    "grand_hamiltonian",
    "confluence",
    "confidence",
    "itfdf_similarity",
]


def the_one(processor):
    (prediction,) = processor.get_predictions({})
    return prediction


@pytest.fixture
def two(make, show, teach):
    """Knows `ab, c, de` (learned twice) and `c, x` (once), and has seen `b, c, z`.

    Learnings 3; memberships a2 b2 c3 d2 e2 x1, 12 in all, so p(a) = p(b) = 1/6 and p(c) = 1/4; 6 known symbols.
    """
    processor = make()
    teach(processor, "a b", "c", "d e")
    teach(processor, "a b", "c", "d e")
    teach(processor, "c", "x")
    show(processor, "b", "c", "z")
    return processor


def test_a_prediction_has_exactly_the_fields_of_kato(two):
    """No field more, none less."""
    assert all(sorted(prediction) == sorted(FIELDS) for prediction in two.get_predictions({}))


def test_the_symbols_of_a_prediction_are_those_worked_out_by_hand(two):
    """The match `b c` begins inside `ab`, which is therefore present; `z` is extra."""
    first, second = two.get_predictions({})
    assert first["type"] == "prototypical"
    assert first["name"] == "MODEL|" + sha1(b"[['a', 'b'], ['c'], ['d', 'e']]").hexdigest()
    assert first["frequency"] == 2
    assert (first["past"], first["present"], first["future"]) == ([], [["a", "b"], ["c"]], [["d", "e"]])
    assert (first["matches"], first["missing"], first["extras"]) == (["b", "c"], ["a"], ["z"])
    assert (second["past"], second["present"], second["future"]) == ([], [["c"]], [["x"]])
    assert (second["matches"], second["missing"], second["extras"]) == (["c"], [], ["b", "z"])


def test_the_figures_of_a_prediction_are_those_worked_out_by_hand(two):
    """State b, c, z against a model of five symbols, two of which match in one block."""
    first, _ = two.get_predictions({})
    itfdf = 1 - (1 - sqrt(13 / 17)) * 2 / 3  # cosine of (0, 1/6, 1/4) and (1/6, 1/6, 1/4); z counts for nothing
    expected = {
        "similarity": 4 / 8,
        "evidence": 2 / 5,
        "confidence": 2 / 3,
        "fragmentation": 0,
        "snr": 3 / 5,
        "entropy": 2 / 6 * log2(6) + 2 / 4,
        "hamiltonian": log(3, 6),
        "grand_hamiltonian": 2 / 6 + log(4, 6) / 4,
        "confluence": 2 / 3 * (1 - 1 / 144),
        "itfdf_similarity": itfdf,
        "potential": (2 / 5 + 2 / 3) * 3 / 5 + itfdf + 1,
    }
    assert {name: first[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_the_figures_of_the_weaker_prediction_are_those_worked_out_by_hand(two):
    """One match against two extras: no signal above the noise."""
    _, second = two.get_predictions({})
    itfdf = 1 - (1 - 3 / sqrt(13)) / 3
    expected = {"similarity": 2 / 5, "evidence": 1 / 2, "confidence": 1, "snr": 0, "potential": itfdf + 1, "hamiltonian": 0}
    assert {name: second[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_figures_are_rounded_to_12_digits(two):
    """What travels is what was rounded."""
    for prediction in two.get_predictions({}):
        figures = [value for value in prediction.values() if isinstance(value, float)]
        assert figures == [round(figure, 12) for figure in figures]


def test_repeated_present_symbols_count_each_time_they_stand(make, show, teach):
    """Hamiltonian of a, a, b: each occurrence adds its share's term, to the base of two known symbols."""
    processor = make()
    teach(processor, "a a", "b")
    show(processor, "a a", "b")
    prediction = the_one(processor)
    assert prediction["hamiltonian"] == pytest.approx(2 * (2 / 3) * log2(3 / 2) + log2(3) / 3)
    assert prediction["grand_hamiltonian"] == pytest.approx(1)
    assert prediction["entropy"] == pytest.approx(1.5)
    assert prediction["confluence"] == pytest.approx(1 - 1 / 8)


def test_with_one_known_symbol_there_is_no_base_and_the_hamiltonians_are_zero(make, show, teach):
    """N < 2."""
    processor = make()
    teach(processor, "a", "a")
    show(processor, "a", "a")
    prediction = the_one(processor)
    assert (prediction["hamiltonian"], prediction["grand_hamiltonian"], prediction["entropy"]) == (0, 0, 0)


def test_an_event_of_the_past_that_ends_before_the_match_but_holds_its_symbol_is_present(make, show, teach):
    """Only the last event of the past, and only where it holds a symbol equal to the first match."""
    processor = make(recall_threshold=0.0)
    teach(processor, "o", "b q", "b", "c", "d")
    show(processor, "b", "c")
    prediction = the_one(processor)
    assert prediction["past"] == [["o"]]
    assert prediction["present"] == [["b", "q"], ["b"], ["c"]]
    assert prediction["future"] == [["d"]]
    assert prediction["missing"] == ["q"]  # the first b is not: a b matched


def test_a_match_within_one_event_leaves_the_rest_of_that_event_in_the_present(make, show, teach):
    """It begins inside the event, so the event is no past."""
    processor = make()
    teach(processor, "x", "a b c d", "y")
    show(processor, "b c")
    prediction = the_one(processor)
    assert (prediction["past"], prediction["present"], prediction["future"]) == ([["x"]], [["a", "b", "c", "d"]], [["y"]])
    assert prediction["missing"] == ["a", "d"]


def test_a_replaced_symbol_of_the_state_is_extra(make, show, teach):
    """`z` stands in the place of `b`; two blocks are one gap."""
    processor = make()
    teach(processor, "a", "b", "c")
    show(processor, "a", "z", "c")
    prediction = the_one(processor)
    assert (prediction["matches"], prediction["missing"], prediction["extras"]) == (["a", "c"], ["b"], ["z"])
    assert prediction["fragmentation"] == 1
    assert prediction["potential"] == pytest.approx((4 / 3) * (3 / 5) + prediction["itfdf_similarity"] + 1 / 2)


def test_a_common_symbol_is_no_junk_however_long_the_sequences(make, show, teach):
    """difflib's own heuristic would ignore a symbol that is in more than one percent of 200."""
    processor = make()
    teach(processor, *["a"] * 250)
    show(processor, *["a"] * 250)
    assert the_one(processor)["similarity"] == 1


def test_models_under_the_threshold_are_left_out_and_those_at_it_stay(make, show, teach):
    """A model of 3 symbols with 2 of the state's 2: a similarity of 0.8."""
    at, above = make(recall_threshold=0.8), make(recall_threshold=0.81)
    for processor in (at, above):
        teach(processor, "a", "b", "c")
        show(processor, "a", "b")
    assert the_one(at)["similarity"] == 0.8
    assert above.get_predictions({}) == []


def test_a_threshold_of_zero_still_leaves_out_models_without_a_match(make, show, teach):
    """Nothing in common is no prediction."""
    processor = make(recall_threshold=0)
    teach(processor, "a", "b")
    teach(processor, "x", "y")
    show(processor, "a", "q")
    assert the_one(processor)["matches"] == ["a"]


def test_equal_potentials_stand_in_the_order_of_first_learning(make, show, teach):
    """Learned again later, a model keeps its place."""
    processor = make()
    names = [teach(processor, "a", "b", symbol) for symbol in "zyx"]
    for symbol in "xyz":
        teach(processor, "a", "b", symbol)
    show(processor, "a", "b")
    found = processor.get_predictions({})
    assert len({prediction["potential"] for prediction in found}) == 1
    assert [prediction["name"] for prediction in found] == names


def test_equal_potentials_do_not_stand_in_the_order_of_the_states_symbols(make, show, teach):
    """The state's first symbol is in the model that was learned last."""
    processor = make()
    names = [teach(processor, "a", "x"), teach(processor, "b", "y")]
    show(processor, "b", "a")
    first, second = processor.get_predictions({})
    assert first["potential"] == second["potential"]
    assert [first["name"], second["name"]] == names


@pytest.mark.parametrize(("limit", "expected"), [(2, 2), (1, 1), (0, 0), (-1, 0), (100, 3)])
def test_there_are_at_most_max_predictions_and_the_best_of_them(make, show, teach, limit, expected):
    """The first of the full list."""
    limited, full = make(max_predictions=limit), make()
    for processor in (limited, full):
        for events in (("a", "b", "c", "d"), ("a", "b", "c"), ("a", "b")):
            teach(processor, *events)
        show(processor, "a", "b")
    assert limited.get_predictions({}) == full.get_predictions({})[:expected]


def test_emotives_of_a_prediction_are_the_means_over_the_window(make, show, teach):
    """Over the entries that have the key."""
    processor = make()
    teach(processor, "a", "b", emotives={"joy": 1, "calm": 4})
    teach(processor, "a", "b", emotives={"joy": 2})
    show(processor, "a", "b")
    assert the_one(processor)["emotives"] == {"joy": 1.5, "calm": 4}


@pytest.mark.parametrize(("era", "predicted"), [("A", True), ("B", False)])
def test_era_a_predicts_from_one_symbol_and_era_b_from_two(make, show, teach, era, predicted):
    """Counted in the flattened short-term memory."""
    processor = make(era=era, recall_threshold=0.0)
    teach(processor, "a", "b")
    show(processor, "a")
    assert bool(processor.get_predictions({})) is predicted
    show(processor, "b")
    assert processor.get_predictions({})


def test_what_is_predicted_can_be_changed_by_its_reader_without_harm(make, show, teach):
    """Each answer is a copy."""
    processor = make()
    teach(processor, "a", "b")
    show(processor, "a", "b")
    the_one(processor)["present"][0].append("mine")
    assert the_one(processor)["present"] == [["a"], ["b"]]


def test_signal_to_noise_is_zero_where_there_is_neither():
    """0/0 counts as 0."""
    assert [measures.signal_to_noise(*pair) for pair in [(0, 0), (2, 0), (1, 2), (1, 6)]] == [0, 1, 0, -0.5]
