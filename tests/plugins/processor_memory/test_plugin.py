"""The plugin as a server finds it: selected by name, served over a transport, speaking KATO's messages."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.processor_specs import make_processor


@pytest.fixture
def client(tmp_path):
    """A client of a server with two processors that share a file."""
    made = [
        make_processor(spec, kt.ProcessorSettings(data=tmp_path / "kato.db"))
        for spec in ("one=processor_memory", "two=processor_memory")
    ]
    with kt.serve(made, "memory://", transport="memory") as server, kt.connect(server.endpoint, transport="memory") as client:
        yield client
    for processor in made:
        processor.close()


def observed(*strings):
    return {"strings": list(strings), "vectors": [], "emotives": {}, "unique_id": "1"}


def test_it_is_installed_under_its_name():
    """The word after `--processor`."""
    assert kt.registry().processor("processor_memory").name == "processor_memory"


def test_it_answers_katos_methods(client):
    """From observation to model."""
    for symbol in "abc":
        assert client.call("observe", observed(symbol))["message"] == "observed"
    name = client.call("learn")["model_name"]
    assert client.call("get_model", {"model_id": name})["model"]["sequence"] == [["a"], ["b"], ["c"]]
    client.call("observe", observed("a", "b"))
    assert client.call("get_predictions")["predictions"][0]["name"] == name
    assert client.call("get_name")["interval"] == 4
    assert client.call("clear_all")["interval"] == 0
    assert client.call("get_genome")["id"] == "one"


@pytest.mark.parametrize(
    ("method", "params", "message", "code"),
    [
        ("observe", {}, "observe: strings is missing", "invalid_params"),
        ("observe", {**observed("a"), "path": 7}, "observe: path must be a list of strings", "invalid_params"),
        ("gene_change", {"gene_name": "x", "gene_value": 1}, "Unknown gene: x", "not_found"),
        ("gene_change", {"gene_name": "era", "gene_value": "A"}, "gene era is fixed", "invalid_params"),
        ("get_model", {"model_id": "MODEL|x"}, "Model MODEL|x not found", "not_found"),
    ],
)
def test_refusals_reach_the_caller_as_they_are(client, method, params, message, code):
    """Text and code."""
    with pytest.raises(kt.RemoteError) as refused:
        client.call(method, params)
    assert refused.value.message.startswith(message)
    assert refused.value.code == code
