"""A deterministic processor with KATO's own method names, which can be told to be slow."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from kato_transport import ServiceError

WAIT_S = 5.0
"""What anything in these tests may take at most before it counts as not happening."""


class ScriptedProcessor:
    """Answers from what it was told, and from nothing else."""

    def __init__(self, processor_id: str = "p1", name: str = "Scripted") -> None:
        self.id = processor_id
        self.name = name
        self.time = 0
        self.auto_learn_at = 0
        self.refused = ""
        self.genes: dict[str, Any] = {"recall_threshold": 0.1, "max_predictions": 100, "classifier": "CVC"}
        self.stm: list[list[str]] = []
        self.percept: dict[str, Any] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.observed: list[str] = []
        self.slow_started = threading.Event()
        self.gate = threading.Event()

    def observe(self, observation: dict[str, Any]) -> Mapping[str, Any]:
        """Take it; one whose unique_id begins with `slow` waits until the gate opens, and the refused one is."""
        if observation["unique_id"] == self.refused:
            raise ServiceError(f"no {self.refused} here")
        self.observed.append(observation["unique_id"])
        if observation["unique_id"].startswith("slow"):
            self.slow_started.set()
            self.gate.wait(4 * WAIT_S)
        self.time += 1
        self.stm.append(sorted(observation["strings"]))
        self.percept = {
            "strings": observation["strings"],
            "vectors": observation["vectors"],
            "emotives": observation["emotives"],
            "path": [*observation.get("path", []), f"{self.name}-{self.id}-process"],
            "metadata": observation.get("metadata", {}),
        }
        learned = self.learn() if self.auto_learn_at and len(self.stm) >= self.auto_learn_at else None
        return {"unique_id": observation["unique_id"], "auto_learned_model": learned}

    def learn(self) -> str:
        sequence, self.stm = self.stm, []
        if sum(map(len, sequence)) < 2:
            return ""
        name = hashlib.sha1(str(sequence).encode()).hexdigest()
        emotives = [self.percept["emotives"]] if self.percept.get("emotives") else []
        self.models[name] = {"name": name, "sequence": sequence, "frequency": 1, "emotives": emotives}
        return f"MODEL|{name}"

    def get_predictions(self, unique_id: Mapping[str, Any]) -> list[dict[str, Any]]:
        if unique_id.get("unique_id", self.observed[-1]) not in self.observed:
            return []
        return [{"name": name, "frequency": 1, "similarity": 1.0} for name in self.models]

    def get_stm(self) -> list[list[str]]:
        return self.stm

    def clear_stm(self) -> None:
        self.stm, self.percept = [], {}

    def clear_all_memory(self) -> None:
        self.clear_stm()
        self.models.clear()
        self.time = 0

    def get_percept_data(self) -> dict[str, Any]:
        return self.percept

    def get_cognition_data(self) -> dict[str, Any]:
        return {"predictions": [], "emotives": {}, "symbols": [], "short_term_memory": self.stm, "metadata": {}, "path": []}

    def get_gene(self, gene_name: str) -> Any:
        return self.genes.get(gene_name)

    def gene_change(self, gene_name: str, gene_value: Any) -> None:
        if gene_name not in self.genes:
            raise ServiceError(f"Unknown gene: {gene_name}", "not_found")
        self.genes[gene_name] = gene_value

    def get_model(self, model_id: str) -> Mapping[str, Any] | None:
        return self.models.get(model_id)

    def get_genome(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, **self.genes}


def observation(unique_id: str = "u1", *strings: str, **fields: Any) -> dict[str, Any]:
    """The params of an `observe`."""
    return {"strings": list(strings), "vectors": [], "emotives": {}, "unique_id": unique_id, **fields}


def until(condition: Callable[[], Any], what: str, limit_s: float = 2 * WAIT_S) -> None:
    """Wait until the condition holds; fail with `what` where it does not in time."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
