"""One face for the engines of both eras: methods under older names, attributes instead of methods, genes in parts."""

from __future__ import annotations

from typing import Any

import pytest

import kato_transport as kt
from kato_transport.kato.engine import Engine
from kato_transport.service import as_service


class Part:
    """What an engine keeps some of its genes in."""

    def __init__(self) -> None:
        self.max_predictions = 100


class EngineA:
    """As KATO's engine was in the era of the working memory: reads are attributes."""

    def __init__(self) -> None:
        self.id = "engine-a"
        self.name = "A"
        self.time = 3
        self.working_memory = [["a"]]
        self.percept_data = {"strings": ["a"]}
        self.cognition_data = {"working_memory": [["a"]], "predictions": []}
        self.genome_manifest = {"max_predictions": 100, "recall_threshold": 0.1}
        self.recall_threshold = 0.1
        self.modeler = Part()

    def observe(self, observation: dict[str, Any]) -> dict[str, Any]:
        self.time += 1
        return {"auto_learned_pattern": "MODEL|" + "f" * 40} if "learn" in observation["strings"] else {}

    def learn(self) -> str:
        return "MODEL|" + "a" * 40

    def get_predictions(self, unique_id: Any) -> list[dict[str, Any]]:
        return [{"name": "b" * 40}, {"name": "MODEL|" + "c" * 40}]

    def get_wm(self) -> list[list[str]]:
        return self.working_memory

    def clear_wm(self) -> None:
        self.working_memory = []

    def clear_all_memory(self) -> None:
        self.clear_wm()
        self.time = 0


class EngineB(EngineA):
    """As it was afterwards: other names, and the genes in the pattern processor."""

    def __init__(self) -> None:
        super().__init__()
        self.id = "engine-b"
        del self.modeler
        self.pattern_processor = Part()

    get_wm = None  # type: ignore[assignment]
    clear_wm = None  # type: ignore[assignment]

    def get_short_term_memory(self) -> list[list[str]]:
        return self.working_memory

    def clear_short_term_memory(self) -> None:
        self.working_memory = []

    def clear_all_memory(self) -> None:
        self.clear_short_term_memory()


@pytest.fixture(params=[EngineA, EngineB], ids=["era A", "era B"])
def engine(request: pytest.FixtureRequest) -> Any:
    """An engine of either era."""
    return request.param()


def ask(engine: Any, method: str, **params: Any) -> dict[str, Any]:
    return as_service(engine)(kt.Request(method, params)).result(method)


def test_an_engines_memory_is_read_and_cleared_by_any_name(engine: Any) -> None:
    """Whatever the engine itself calls it."""
    for method, key in (("get_stm", "short_term_memory"), ("get_wm", "working_memory")):
        assert ask(engine, method)[key] == [["a"]]
    ask(engine, "clear_stm")
    assert ask(engine, "get_wm")["working_memory"] == []


def test_attributes_are_read_at_each_call(engine: Any) -> None:
    """Not once when the server starts."""
    service = as_service(engine)
    engine.percept_data = {"strings": ["later"]}
    assert service(kt.Request("get_percept_data")).body["percept_data"] == {"strings": ["later"]}
    engine.cognition_data = {"working_memory": [["later"]]}
    cognition = service(kt.Request("get_cognition_data")).body["cognition_data"]
    assert cognition["short_term_memory"] == cognition["working_memory"] == [["later"]]


def test_id_name_and_time_stand_in_each_answer(engine: Any) -> None:
    """As they are at that moment."""
    answer = ask(engine, "observe", strings=["x"], vectors=[], emotives={}, unique_id="u")
    assert (answer["id"], answer["interval"]) == (engine.id, 4)


def test_a_pattern_learned_along_the_way_is_told_under_the_one_name(engine: Any) -> None:
    """Era B's engine calls it a pattern."""
    answer = ask(engine, "observe", strings=["learn"], vectors=[], emotives={}, unique_id="u")
    assert answer["auto_learned_model"] == "MODEL|" + "f" * 40


def test_predictions_carry_the_prefix_once(engine: Any) -> None:
    """Whether the engine gave it or not."""
    names = [prediction["name"] for prediction in ask(engine, "get_predictions")["predictions"]]
    assert names == ["MODEL|" + "b" * 40, "MODEL|" + "c" * 40]


def test_the_genome_is_the_manifest(engine: Any) -> None:
    """And a gene is read from it."""
    assert ask(engine, "get_genome") == {"max_predictions": 100, "recall_threshold": 0.1}
    assert ask(engine, "get_gene", gene_name="max_predictions")["gene_value"] == 100
    assert ask(engine, "get_gene", gene_name="courage")["gene_value"] is None


def test_a_gene_is_changed_where_the_engine_keeps_it(engine: Any) -> None:
    """In itself or in its part, and in the manifest."""
    ask(engine, "gene_change", gene_name="recall_threshold", gene_value=0.5)
    ask(engine, "gene_change", gene_name="max_predictions", gene_value=7)
    part = getattr(engine, "modeler", None) or engine.pattern_processor
    assert (engine.recall_threshold, part.max_predictions) == (0.5, 7)
    assert engine.genome_manifest == {"max_predictions": 7, "recall_threshold": 0.5}


@pytest.mark.parametrize(
    "gene", ["courage", "observe", "learn", "modeler", "genome_manifest", "__class__", "__dict__", "id", "time"]
)
def test_what_is_no_gene_cannot_be_changed(engine: Any, gene: str) -> None:
    """Whatever attribute of the engine has that name: nobody gets at its methods and parts over the wire."""
    before = dict(vars(engine))
    with pytest.raises(kt.ServiceError) as refused:
        ask(engine, "gene_change", gene_name=gene, gene_value=1)
    assert (refused.value.message, refused.value.code) == (f"Unknown gene: {gene}", "not_found")
    assert vars(engine) == before


def test_an_engine_without_models_has_not_found_any(engine: Any) -> None:
    """`get_model` is not asked of everybody."""
    with pytest.raises(kt.ServiceError, match=r"Model MODEL\|ff not found"):
        ask(engine, "get_model", model_id="MODEL|ff")


def test_what_an_engine_cannot_do_is_refused_when_it_is_asked_for() -> None:
    """Not when it is served."""

    class Least:
        def observe(self, observation: Any) -> Any: ...
        def learn(self) -> str:
            return ""

        def get_predictions(self, unique_id: Any) -> list[Any]:
            return []

    found = Engine(Least())
    assert (found.id, found.name, found.time) == ("kato", "kato", 0)
    for method in ("get_stm", "clear_stm", "clear_all", "get_percept_data", "get_genome"):
        with pytest.raises(kt.ServiceError, match="this processor has no"):
            ask(Least(), method)


@pytest.mark.parametrize("change", ["gene_change", "change_gene"])
def test_an_engine_with_a_method_for_genes_is_asked_by_it(change: str) -> None:
    """Under either name, and it refuses what it likes."""
    engine = EngineA()
    seen: list[Any] = []
    setattr(engine, change, lambda name, value: seen.append((name, value)))
    ask(engine, "gene_change", gene_name="anything", gene_value=[1])
    assert seen == [("anything", [1])]
