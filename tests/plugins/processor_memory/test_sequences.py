"""A sequence in one message leaves the memory as the same observations one by one do."""

from __future__ import annotations

import itertools

import pytest

import kato_transport as kt
from kato_transport.service import as_service

OBSERVATIONS = [
    {"strings": ["a", "b"], "vectors": [], "emotives": {"joy": 1.0}, "unique_id": "u1"},
    {"strings": ["c"], "vectors": [[1.0, 2.0]], "emotives": {}, "unique_id": "u2"},
    {"strings": [], "vectors": [], "emotives": {"joy": 0.5}, "unique_id": "u3"},
    {"strings": ["d", "a"], "vectors": [], "emotives": {}, "unique_id": "u4"},
    {"strings": ["e"], "vectors": [], "emotives": {}, "unique_id": "u5"},
]
READS = ("get_stm", "get_predictions", "get_percept_data", "get_cognition_data")


def caller(processor):
    service = as_service(processor)
    return lambda method, **params: service(kt.Request(method, params)).result(method)


@pytest.mark.parametrize("limit", [0, 2])
@pytest.mark.parametrize(("each", "end", "between"), [*itertools.product([False, True], repeat=3)])
def test_one_message_does_what_many_do(make, each, end, between, limit):
    """With each of the flags, and with models learned along the way."""
    once, many = caller(make(max_sequence_length=limit)), caller(make(max_sequence_length=limit))
    flags = {"learn_after_each": each, "learn_at_end": end, "clear_stm_between": between}
    answer = once("observe_sequence", observations=OBSERVATIONS, **flags)
    learned = []
    for index, observation in enumerate(OBSERVATIONS):
        if between and index:
            many("clear_stm")
        learned.append(many("observe", **observation).get("auto_learned_model", ""))
        learned.append(many("learn")["model_name"] if each else "")
    assert answer["final_learned_model"] == (many("learn")["model_name"] if end else "")
    assert answer["auto_learned_models"] == [name for name in learned if name]
    assert answer["interval"] == len(OBSERVATIONS)
    for method in READS:
        assert once(method) == many(method)
    for name in answer["auto_learned_models"]:
        assert once("get_model", model_id=name) == many("get_model", model_id=name)


def test_an_observation_that_the_processor_refuses_ends_the_sequence(make):
    """Only it can tell; what came before stays observed, and the error says so."""
    call = caller(make())
    bad = {"strings": ["x"], "vectors": [[1.0], [1.0, 2.0]]}
    with pytest.raises(kt.ServiceError, match=r"observations\[1\]: .*; the 1 before it were observed"):
        call("observe_sequence", observations=[{"strings": ["a"]}, bad, {"strings": ["b"]}])
    assert call("get_stm")["short_term_memory"] == [["a"]]
