"""One observation as a client sends it: checked as a whole, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from kato_transport import ServiceError
from kato_transport.processors import checked_observation
from kato_transport_processor_memory.plain import plain_copy
from kato_transport_processor_memory.vectors import VectorSum, add_up


@frozen
class Observation:
    """A valid observation, in copies of what the caller holds."""

    strings: list[str]
    vectors: list[list[float]]
    emotives: dict[str, float]
    unique_id: str
    path: list[str]
    metadata: dict[str, Any]
    vector_sum: VectorSum | None
    """None where no vectors came."""

    def percept(self, stage: str) -> dict[str, Any]:
        """What `get_percept_data` shows; `stage` is who observed it, the last station of the path."""
        return {
            "strings": self.strings,
            "vectors": self.vectors,
            "emotives": self.emotives,
            "path": [*self.path, stage],
            "metadata": self.metadata,
        }


def read_observation(params: Mapping[str, Any]) -> Observation:
    """The observation in a call's params; `ServiceError` names the field that is missing or wrong."""
    fields = checked_observation(params)
    _check_source(fields)
    vectors = [list(vector) for vector in fields["vectors"]]
    return Observation(
        strings=list(fields["strings"]),
        vectors=vectors,
        emotives=dict(fields["emotives"]),
        unique_id=fields["unique_id"],
        path=_path(fields),
        metadata=_metadata(fields),
        vector_sum=_vector_sum(vectors),
    )


def _check_source(fields: Mapping[str, Any]) -> None:
    if not isinstance(fields.get("source", ""), str | None):
        raise ServiceError("observe: source must be a string")


def _vector_sum(vectors: list[list[float]]) -> VectorSum | None:
    try:
        return add_up(vectors) if vectors else None
    except ValueError as exc:
        raise ServiceError(f"observe: vectors must be {exc}") from exc


def _path(fields: Mapping[str, Any]) -> list[str]:
    path = fields.get("path")
    if path is None:
        return []
    if not isinstance(path, list) or not all(isinstance(station, str) for station in path):
        raise ServiceError("observe: path must be a list of strings")
    return list(path)


def _metadata(fields: Mapping[str, Any]) -> dict[str, Any]:
    metadata = fields.get("metadata")
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise ServiceError("observe: metadata must be a map")
    try:
        copied: dict[str, Any] = plain_copy(metadata)
    except ValueError as exc:
        raise ServiceError(f"observe: metadata is {exc}") from exc
    return copied
