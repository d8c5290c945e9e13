"""Genes: the processor's settings, given as a genome at the start and changed one at a time.

Most of them have no effect and had none in the original; they are kept because clients read and set them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, evolve, frozen

from kato_transport import ErrorCode, InvalidSetting, ServiceError
from kato_transport_processor_memory.plain import plain_copy

DEFAULTS: Mapping[str, Any] = {
    "id": "kato",
    "name": "KatoProcessor",
    "era": "B",
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
}

ERAS = ("A", "B")

_WORDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a map",
}


@frozen
class Genes:
    """All genes at one moment; a change gives new ones."""

    genome: Mapping[str, Any]
    """As at the start: the defaults, and what the genome says."""
    changes: Mapping[str, Any] = Factory(dict)
    """What `gene_change` has set since."""

    def get(self, name: str) -> Any:
        """A gene's value as reported, or None."""
        return self.changes.get(name, self.genome.get(name))

    def as_genome(self) -> dict[str, Any]:
        """All genes as reported, in a copy."""
        genome: dict[str, Any] = plain_copy({**self.genome, **self.changes})
        return genome

    def change(self, name: str, value: Any) -> Genes:
        """These genes with one changed; `ServiceError` for an unknown one, `era`, or a value of a wrong type."""
        if name not in self.genome and name not in self.changes:
            raise ServiceError(f"Unknown gene: {name}", ErrorCode.NOT_FOUND)
        if name == "era":
            raise ServiceError(f"gene era is fixed at the start: it is {self.era!r}, and cannot become {value!r}")
        try:
            return self.with_changes({name: _checked(name, value, self.genome.get(name))})
        except ValueError as exc:
            raise ServiceError(str(exc), ErrorCode.INVALID_PARAMS) from exc

    def with_changes(self, changes: Mapping[str, Any]) -> Genes:
        """These genes with changes that were checked before."""
        return evolve(self, changes={**self.changes, **changes})

    @property
    def era(self) -> str:
        return str(self.genome["era"])

    @property
    def recall_threshold(self) -> float:
        """The one in use: era A reports a changed threshold and goes on with the genome's."""
        threshold: float = self.genome["recall_threshold"] if self.era == "A" else self.get("recall_threshold")
        return threshold


def read_genes(genome: Mapping[str, Any], processor_id: str = "") -> Genes:
    """The genes of a genome; a processor id that is not empty wins over the genome's. `InvalidSetting` names the gene."""
    if not isinstance(genome, Mapping):
        raise InvalidSetting(f"the genome must be a map of genes, not {genome!r}")
    try:
        given = {name: _checked(name, value, DEFAULTS.get(name)) for name, value in genome.items()}
        plain_copy(given)
    except ValueError as exc:
        raise InvalidSetting(f"the genome cannot be used: {exc}") from exc
    genes = Genes({**DEFAULTS, **given, **({"id": processor_id} if processor_id else {})})
    if genes.era not in ERAS:
        raise InvalidSetting(f"the genome cannot be used: gene era takes 'A' or 'B', not {genes.era!r}")
    return genes


def _checked(name: str, value: Any, model: Any) -> Any:
    """A copy of the value; `ValueError` where it is not of the model's type. No model: any plain data."""
    if not _fits(value, model):
        raise ValueError(f"gene {name} takes {_WORDS[type(model)]}, not {value!r} ({type(value).__name__})")
    try:
        return plain_copy(value)
    except ValueError as exc:
        raise ValueError(f"gene {name} cannot be {value!r}: {exc}") from exc


def _fits(value: Any, model: Any) -> bool:
    if model is None:
        return True
    if isinstance(value, bool) or isinstance(model, bool):
        return type(value) is type(model)
    return isinstance(value, (int, float) if isinstance(model, float) else type(model))
