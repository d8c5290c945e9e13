"""Every method, on both clients, against this project's servers and the original's."""

from __future__ import annotations

import pytest

MODEL = "MODEL|" + "a" * 40


@pytest.fixture
def learned(peer, observation):
    """A peer that has learned two events."""
    peer.client.observe(observation("a"))
    peer.client.observe(observation("b"))
    return peer, peer.client.learn()


def test_ping_is_true_where_a_server_answers(peer):
    """Basic servers of old know no ping, so the basic client asks for the name."""
    assert peer.client.ping() is True


def test_get_name_gives_the_whole_answer(peer):
    """The name itself is the message."""
    answer = peer.client.get_name()
    assert (answer["status"], answer["id"], answer["interval"], answer["message"]) == ("okay", "p1", 0, "P1")


def test_observe_takes_the_observation_and_gives_the_answer(peer, observation):
    """What is observed arrives as it was sent."""
    answer = peer.client.observe(observation("b", "a", unique_id="u1"))
    assert (answer["message"], answer["unique_id"]) == ("observed", "u1")
    assert peer.double.observed == [observation("b", "a", unique_id="u1")]


def test_learn_gives_the_name_of_the_model(learned):
    """The basic framing of this project says it in `model_name`; the old basic server knew only `message`."""
    _, answer = learned
    assert MODEL in (answer.get("model_name"), answer["message"])


def test_learn_takes_the_flags_of_old(peer):
    """They are sent, and do nothing."""
    answer = peer.client.learn(learning_flag=True, manual_flag=True, auto_act_flag=False)
    assert answer["status"] == "okay"
    assert answer["message"] in ("", "learning-called")


def test_get_predictions_gives_the_list(learned):
    """Names carry the prefix."""
    peer, _ = learned
    assert [found["name"] for found in peer.client.get_predictions()] == [MODEL]


def test_get_predictions_can_ask_for_one_observation(learned):
    """As a map in the map; the old basic server never looked at it."""
    peer, _ = learned
    (found,) = peer.client.get_predictions(unique_id={"unique_id": "1"})
    assert found["asked"] in ({"unique_id": "1"}, {})


def test_get_predictions_gives_an_empty_list_of_nothing(peer):
    """Nothing was learned, so nothing is predicted."""
    assert peer.client.get_predictions() == []


def test_the_short_term_memory_can_be_read_and_cleared(peer, observation):
    """In the basic framing a clear always says wm-cleared."""
    peer.client.observe(observation("b", "a"))
    assert peer.client.get_short_term_memory() == [["a", "b"]]
    answer = peer.client.clear_short_term_memory()
    assert answer["message"] == ("wm-cleared" if peer.framing == "basic" else "stm-cleared")
    assert peer.client.get_short_term_memory() == []


def test_the_working_memory_can_be_read_and_cleared(era_a_peer, observation):
    """The older vocabulary: old servers of its era, and this project's."""
    client = era_a_peer.client
    client.observe(observation("b", "a"))
    assert client.get_working_memory() == [["a", "b"]]
    assert client.clear_working_memory()["message"] == "wm-cleared"
    assert client.get_working_memory() == []


def test_clear_all_memory_forgets_the_models(learned):
    """Everything but the genes."""
    peer, _ = learned
    assert peer.client.clear_all_memory()["message"] == "all-cleared"
    assert peer.client.get_predictions() == []


def test_get_percept_data_gives_the_last_observation(peer, observation):
    """The map itself, whatever key the answer has it under."""
    assert peer.client.get_percept_data() == {}
    peer.client.observe(observation("a"))
    assert peer.client.get_percept_data()["strings"] == ["a"]


def test_get_cognition_data_gives_the_map(peer, observation):
    """The short-term memory is in it."""
    peer.client.observe(observation("a"))
    assert peer.client.get_cognition_data()["short_term_memory"] == [["a"]]


def test_get_gene_gives_the_value(peer):
    """Not the answer around it."""
    assert peer.client.get_gene("persistence") == 5


def test_get_gene_gives_none_for_an_unknown_gene(peer):
    """No error, no value."""
    assert peer.client.get_gene("nose") is None


def test_change_gene_sets_the_value(peer):
    """And says so."""
    assert peer.client.change_gene("persistence", 7)["message"] == "Gene persistence updated to 7"
    assert peer.client.get_gene("persistence") == 7


def test_get_model_gives_the_whole_answer(learned):
    """With the prefix and without."""
    peer, _ = learned
    for name in (MODEL, MODEL.removeprefix("MODEL|")):
        answer = peer.client.get_model(name)
        assert answer["status"] == "okay"
        assert answer["model"]["sequence"] == [["a"], ["b"]]


def test_get_genome_gives_the_genome_itself(peer):
    """Basic servers wrap it, improved ones do not."""
    assert peer.client.get_genome() == {"id": "p1", "name": "P1", "persistence": 5}


def test_the_short_names_are_methods_too(peer, observation):
    """As the gateway of the original called them through its pool."""
    peer.client.observe(observation("a"))
    assert peer.client.get_stm() == [["a"]]
    assert peer.client.clear_stm()["status"] == "okay"
    assert peer.client.gene_change("persistence", 6)["status"] == "okay"
    assert peer.client.clear_all()["message"] == "all-cleared"


def test_the_short_names_of_the_working_memory_are_methods_too(era_a_peer, observation):
    """In the older vocabulary."""
    era_a_peer.client.observe(observation("a"))
    assert era_a_peer.client.get_wm() == [["a"]]
    assert era_a_peer.client.clear_wm()["message"] == "wm-cleared"


def test_call_takes_a_wire_name_and_params(peer):
    """For what has no method of its own."""
    assert peer.client.call("get_gene", {"gene_name": "persistence"})["gene_value"] == 5


def test_an_error_answer_raises_server_error_with_the_message(peer):
    """The text users match on."""
    with pytest.raises(Exception, match=r"^Server error: Model MODEL\|nose not found$"):
        peer.client.get_model("MODEL|nose")


def test_an_unknown_method_is_a_server_error(peer):
    """Named in the text."""
    with pytest.raises(Exception, match=r"^Server error: Unknown method: dance$"):
        peer.client.call("dance")


def test_no_old_server_is_sent_what_it_cannot_read(peer):
    """Everything that was sent to it was a message of its own time."""
    peer.client.get_name()
    peer.client.ping()
    assert getattr(peer.server, "garbage", 0) == 0
