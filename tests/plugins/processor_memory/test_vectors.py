"""Vectors: their sum's name, and their neighbours in era A."""

from __future__ import annotations

from hashlib import sha1

import pytest

from kato_transport_processor_memory.vectors import VectorSum, nearest


def name(*values):
    return "VECTOR|" + sha1(str([float(value) for value in values]).encode()).hexdigest()


@pytest.fixture
def see():
    """Shows vectors in one observation; gives the event they became."""

    def see(processor, *vectors):
        processor.observe({"strings": [], "vectors": [list(v) for v in vectors], "emotives": {}, "unique_id": "v"})
        return processor.get_cognition_data()["symbols"]

    return see


@pytest.mark.parametrize("era", ["A", "B"])
def test_vectors_of_one_observation_are_one_symbol_named_by_their_sum(make, see, era):
    """The text is that of a list of floats, also where ints came."""
    assert see(make(era=era), [1, 2], [0.5, -2]) == [name(1.5, 0)]
    assert name(1.5, 0) == "VECTOR|" + sha1(b"[1.5, 0.0]").hexdigest()


def test_in_era_b_a_vector_has_no_neighbours(make, see):
    """The original's index is never filled."""
    processor = make(era="B")
    see(processor, [1.0])
    see(processor, [2.0])
    processor.learn()
    assert see(processor, [1.1]) == [name(1.1)]


def test_in_era_a_up_to_three_nearest_known_sums_join(make, see):
    """Sorted by name as any event; known is what was observed before the last learning."""
    processor = make(era="A")
    for value in (0, 10, 20, 30):
        assert see(processor, [value]) == [name(value)]
    processor.learn()
    assert see(processor, [21]) == sorted([name(21), name(20), name(30), name(10)])
    assert see(processor, [21.5]) == sorted([name(21.5), name(20), name(30), name(10)])  # 21 is not known yet


def test_in_era_a_a_known_sum_is_one_of_its_own_neighbours(make, see):
    """It is there once."""
    processor = make(era="A")
    for value in (0, 10, 20, 30):
        see(processor, [value])
    processor.learn()
    assert see(processor, [10]) == sorted([name(10), name(0), name(20)])


def test_in_era_a_a_learning_that_learns_nothing_makes_sums_known_all_the_same(make, see):
    """What counts is the call; a cleared short-term memory does not forget sums, a cleared memory does."""
    processor = make(era="A")
    see(processor, [1])
    assert processor.learn() == ""
    processor.clear_stm()
    assert see(processor, [2]) == sorted([name(1), name(2)])
    processor.clear_all_memory()
    processor.learn()
    assert see(processor, [2]) == [name(2)]


def test_in_era_a_automatic_learning_makes_sums_known(make, see):
    """It is a learning like any other."""
    processor = make(era="A", max_sequence_length=2)
    see(processor, [1])
    see(processor, [2])
    assert see(processor, [3]) == sorted([name(1), name(2), name(3)])


def test_unsorted_the_own_symbol_comes_first_and_the_nearest_next(make, see):
    """Where the `sort` gene is false."""
    processor = make(era="A", sort=False)
    for value in (0, 10, 30):
        see(processor, [value])
    processor.learn()
    assert see(processor, [11]) == [name(11), name(10), name(0), name(30)]


def test_sums_of_another_length_are_no_neighbours():
    """There is no distance between them."""
    known = [VectorSum((0.0, 0.0)), VectorSum((5.0,)), VectorSum((1.0,))]
    assert nearest(known, VectorSum((0.0,))) == [VectorSum((1.0,)), VectorSum((5.0,))]


def test_vectors_are_matched_like_any_symbol(make, see):
    """A learned sequence of vectors is predicted."""
    processor = make()
    for value in (1, 2, 3):
        see(processor, [value])
    processor.learn()
    see(processor, [1])
    see(processor, [2])
    assert processor.get_predictions({})[0]["future"] == [[name(3)]]
