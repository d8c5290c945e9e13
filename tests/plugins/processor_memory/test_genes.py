"""Genes: defaults, genomes, changes, and which of them count."""

from __future__ import annotations

import pytest

from kato_transport import InvalidSetting, ProcessorSettings, ServiceError
from kato_transport_processor_memory import SequenceMemory

DEFAULTS = {
    "recall_threshold": 0.1,
    "max_predictions": 100,
    "max_sequence_length": 0,
    "persistence": 5,
    "smoothness": 3,
    "quiescence": 3,
    "sort": True,
    "process_predictions": True,
    "auto_act_method": "none",
    "auto_act_threshold": 0.8,
    "always_update_frequencies": False,
    "indexer_type": "VI",
    "classifier": "CVC",
    "search_depth": 10,
    "id": "kato",
    "name": "KatoProcessor",
    "era": "B",
}


def test_without_a_genome_the_genes_are_katos_defaults(make):
    """All of them, and nothing else."""
    processor = make()
    assert processor.get_genome() == DEFAULTS
    assert (processor.id, processor.name) == ("kato", "KatoProcessor")


def test_a_genome_sets_genes_and_may_have_more_of_them(make):
    """What has no meaning here is kept and reported, in copies."""
    elements = {"nodes": [{"data": {"id": "p1"}}]}
    processor = make(id="p1", name="P1", persistence=7, elements=elements)
    assert processor.get_genome() == {**DEFAULTS, "id": "p1", "name": "P1", "persistence": 7, "elements": elements}
    processor.get_genome()["elements"]["nodes"].clear()
    processor.get_gene("elements")["nodes"].clear()
    assert processor.get_gene("elements") == elements


def test_the_settings_id_wins_over_the_genomes(make):
    """In the genome that is reported, too."""
    processor = make(processor_id="mine", id="theirs")
    assert processor.id == processor.get_gene("id") == processor.get_genome()["id"] == "mine"


@pytest.mark.parametrize(
    ("genome", "message"),
    [
        ({"era": "C"}, "era takes 'A' or 'B', not 'C'"),
        ({"recall_threshold": "high"}, "recall_threshold takes a number, not 'high'"),
        ({"max_predictions": 1.5}, "max_predictions takes a whole number"),
        ({"max_predictions": True}, "max_predictions takes a whole number"),
        ({"sort": 1}, "sort takes true or false"),
        ({"name": None}, "name takes a string"),
        ({"recall_threshold": float("nan")}, "recall_threshold cannot be nan"),
        ({"extra": b"bytes"}, "extra cannot be b'bytes'"),
        ({1: "a"}, "keys must be strings"),
        (["era"], "must be a map of genes"),
    ],
)
def test_an_invalid_genome_is_refused_with_what_is_accepted(genome, message):
    """At the start, before anything runs."""
    with pytest.raises(InvalidSetting, match=message):
        SequenceMemory().create(ProcessorSettings(genome=genome))


def test_an_unknown_gene_reads_as_none(make):
    """No error."""
    assert make().get_gene("courage") is None


def test_an_unknown_gene_cannot_be_changed(make):
    """The text is KATO's."""
    with pytest.raises(ServiceError, match=r"^Unknown gene: courage$") as refused:
        make().gene_change("courage", 1)
    assert refused.value.code == "not_found"


def test_the_era_cannot_be_changed(make):
    """It is fixed at the start."""
    processor = make()
    with pytest.raises(ServiceError, match="era is fixed at the start: it is 'B', and cannot become 'A'") as refused:
        processor.gene_change("era", "A")
    assert refused.value.code == "invalid_params"
    assert processor.get_gene("era") == "B"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recall_threshold", "0.5"),
        ("recall_threshold", True),
        ("recall_threshold", float("inf")),
        ("persistence", 2.0),
        ("sort", 0),
        ("name", 7),
        ("elements", []),
    ],
)
def test_a_value_of_a_wrong_type_changes_nothing(make, name, value):
    """Genes that only the genome has are of the type they have there."""
    processor = make(elements={})
    with pytest.raises(ServiceError, match=f"gene {name} ") as refused:
        processor.gene_change(name, value)
    assert refused.value.code == "invalid_params"
    assert processor.get_genome() == {**DEFAULTS, "elements": {}}


@pytest.mark.parametrize(
    ("name", "value"),
    [("recall_threshold", 1), ("recall_threshold", 0.5), ("sort", False), ("extra", "x"), ("elements", {"a": 1})],
)
def test_a_changed_gene_is_reported(make, name, value):
    """An int will do for a float; a gene that was null takes anything."""
    processor = make(elements={}, extra=None)
    processor.gene_change(name, value)
    assert processor.get_gene(name) == processor.get_genome()[name] == value


def test_id_and_name_can_be_changed(make, show):
    """The path of the next observation shows them."""
    processor = make()
    processor.gene_change("id", "p2")
    processor.gene_change("name", "Eyes")
    show(processor, "a")
    assert (processor.id, processor.name) == ("p2", "Eyes")
    assert processor.get_percept_data()["path"] == ["Eyes-p2-process"]


@pytest.mark.parametrize(("era", "found"), [("A", 0), ("B", 1)])
def test_a_changed_recall_threshold_counts_in_era_b_only(make, show, teach, era, found):
    """Era A reports it and goes on with the genome's."""
    processor = make(era=era, recall_threshold=0.9)
    teach(processor, "a", "b", "c")
    show(processor, "a")
    processor.gene_change("recall_threshold", 0.1)
    assert processor.get_predictions({}) == []
    show(processor, "b")
    assert processor.get_gene("recall_threshold") == 0.1
    assert len(processor.get_predictions({})) == found


@pytest.mark.parametrize("gene", ["process_predictions", "smoothness", "auto_act_threshold", "search_depth", "quiescence"])
def test_other_genes_have_no_effect(make, show, teach, gene):
    """As in the original."""
    plain, changed = make(), make()
    changed.gene_change(gene, type(DEFAULTS[gene])(0))
    for processor in (plain, changed):
        teach(processor, "a", "b", "c")
        show(processor, "a", "b")
    assert changed.get_predictions({}) == plain.get_predictions({}) != []


def test_a_reader_must_ask_for_predictions_by_a_string(make):
    """Anything else is refused."""
    with pytest.raises(ServiceError, match="unique_id must be a string"):
        make().get_predictions({"unique_id": 7})
