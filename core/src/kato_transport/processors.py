"""Processors: what answers KATO's methods.

A processor is any object with KATO's own method names (`observe(dict)`, `learn()`, `get_predictions(…)`, …), so the full
KATO engine needs no adapter. `Processor` writes them all down; what an engine of either era calls differently is listed
in `kato_transport.kato.engine`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from attrs import Factory, frozen

from kato_transport.errors import ServiceError


class Processor(Protocol):
    """KATO's processor; one request at a time is let in, so it needs no lock for that. One with a `close` has it called
    when `kato-transport serve` ends.

    A method refuses its input by raising `ServiceError`, which reaches the caller as it is; anything else it raises is
    logged, and reaches the caller as an internal error.
    """

    id: str
    name: str
    time: int
    """Observations since the last clear-all."""

    def observe(self, observation: dict[str, Any]) -> Mapping[str, Any]:
        """Take one observation; gives `unique_id` and, where one was learned, `auto_learned_model`."""

    def learn(self) -> str:
        """Learn the short-term memory; gives `MODEL|` + name, or an empty string where there was too little."""

    def get_predictions(self, unique_id: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The last predictions (`{}`), or those made at one observation (`{"unique_id": id}`)."""

    def get_stm(self) -> Sequence[Sequence[str]]:
        """The short-term memory: events of symbols."""

    def clear_stm(self) -> None:
        """Forget the short-term memory."""

    def clear_all_memory(self) -> None:
        """Forget everything but the genes."""

    def get_percept_data(self) -> Mapping[str, Any]:
        """The last observation."""

    def get_cognition_data(self) -> Mapping[str, Any]:
        """Predictions, emotives, symbols and short-term memory."""

    def get_gene(self, gene_name: str) -> Any:
        """A gene's value, or None."""

    def gene_change(self, gene_name: str, gene_value: Any) -> None:
        """Set a gene; `ServiceError` where it is unknown or the value is of a wrong type."""

    def get_model(self, model_id: str) -> Mapping[str, Any] | None:
        """A learned model by its name without prefix, or None."""

    def get_genome(self) -> Mapping[str, Any]:
        """All genes, `id` and `name` among them."""


@frozen(kw_only=True)
class ProcessorSettings:
    """What a processor is made from."""

    processor_id: str = ""
    """Its id; empty: the genome's."""
    genome: Mapping[str, Any] = Factory(dict)
    data: Path | None = None
    """Where to keep what it learns; None: nowhere."""


@runtime_checkable
class ProcessorFactory(Protocol):
    """Makes processors; a plugin registers one with the hook `kato_register_processors`."""

    name: ClassVar[str]

    def create(self, settings: ProcessorSettings) -> Processor:
        """A processor; `ConfigurationError` where it cannot be made (an unwritable path, an invalid genome)."""


def checked_observation(params: Mapping[str, Any]) -> dict[str, Any]:
    """The observation in a call's params; `ServiceError` names the field that is missing or of a wrong type."""
    for name, (valid, expected) in _OBSERVATION.items():
        if name not in params:
            raise ServiceError(f"observe: {name} is missing; expected {expected}")
        if not valid(params[name]):
            raise ServiceError(f"observe: {name} must be {expected}")
    return dict(params)


def checked_sequence(params: Mapping[str, Any]) -> dict[str, Any]:
    """The params of an `observe_sequence`, with what they leave out; `ServiceError` names what is wrong, and where.

    What an observation leaves out is empty, and its unique_id is made up; but one of strings, vectors and emotives it needs.
    """
    observations = params.get("observations")
    if not isinstance(observations, list):
        raise ServiceError("observe_sequence: observations must be a list of observations")
    flags = {name: params.get(name, False) for name in ("learn_after_each", "learn_at_end", "clear_stm_between")}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ServiceError(f"observe_sequence: {name} must be true or false")
    prefix = f"sequence-{os.urandom(8).hex()}"
    checked = [_checked_in_sequence(fields, index, f"{prefix}-{index}") for index, fields in enumerate(observations)]
    return {"observations": checked, **flags}


def _checked_in_sequence(fields: Any, index: int, unique_id: str) -> dict[str, Any]:
    if not isinstance(fields, Mapping) or not any(name in fields for name in _EMPTY):
        raise ServiceError(f"observe_sequence: observations[{index}] must be a map with {', '.join(_EMPTY)}, or one of them")
    given = {name: value for name, value in fields.items() if name != "unique_id" or value is not None}
    empty = {name: make() for name, make in _EMPTY.items()}
    try:
        return checked_observation({"unique_id": unique_id, **empty, **given})
    except ServiceError as exc:
        raise ServiceError(f"observe_sequence: observations[{index}]: {exc.message.removeprefix('observe: ')}") from exc


def _is_number(value: Any) -> bool:
    """Finite, as JSON knows no other, and within what a float holds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


_OBSERVATION: dict[str, tuple[Callable[[Any], bool], str]] = {
    "strings": (
        lambda v: isinstance(v, list) and all(isinstance(item, str) for item in v),
        "a list of strings",
    ),
    "vectors": (
        lambda v: isinstance(v, list) and all(isinstance(row, list) and all(map(_is_number, row)) for row in v),
        "a list of lists of numbers",
    ),
    "emotives": (
        lambda v: isinstance(v, dict) and all(isinstance(key, str) and _is_number(item) for key, item in v.items()),
        "a map of strings to numbers",
    ),
    "unique_id": (lambda v: isinstance(v, str) and v != "", "a string that is not empty"),
}

_EMPTY: dict[str, Callable[[], Any]] = {"strings": list, "vectors": list, "emotives": dict}
