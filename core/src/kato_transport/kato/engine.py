"""One face for every object that can be a processor.

KATO's engine changed its names between its eras and leaves some reads to attributes. Each operation lists where it may be
found, the documented name first; what is found is bound once, when the server starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kato_transport.errors import InvalidSetting, ServiceError
from kato_transport.model import ErrorCode

REQUIRED = ("observe", "learn", "get_predictions")

NO_GENES = frozenset({"id", "name", "time"})
GENE_TYPES = (bool, int, float, str, list)
"""What an attribute has to be to be changed as a gene: nobody gets at methods and parts over the wire."""


class Engine:
    """A processor's operations, bound; `InvalidSetting` for an object that is none."""

    def __init__(self, processor: Any) -> None:
        missing = [name for name in REQUIRED if not callable(getattr(processor, name, None))]
        if missing:
            raise InvalidSetting(f"{processor!r} is no processor: it lacks {', '.join(missing)}")
        self.processor = processor
        self.observe: Callable[[dict[str, Any]], Any] = processor.observe
        self.learn: Callable[[], str] = processor.learn
        self.get_predictions: Callable[[Mapping[str, Any]], Any] = processor.get_predictions
        self.get_stm = self._reader("get_stm", "get_wm", "get_short_term_memory", "get_working_memory")
        self.clear_stm = self._reader("clear_stm", "clear_wm", "clear_short_term_memory", "clear_working_memory")
        self.clear_all_memory = self._reader("clear_all_memory", "clear_all")
        self.get_percept_data = self._reader("get_percept_data", "percept_data")
        self.get_cognition_data = self._reader("get_cognition_data", "cognition_data")
        self.get_genome = self._reader("get_genome", "genome_manifest")

    @property
    def id(self) -> str:
        return str(getattr(self.processor, "id", "kato"))

    @property
    def name(self) -> str:
        return str(getattr(self.processor, "name", self.id))

    @property
    def time(self) -> int:
        return int(getattr(self.processor, "time", 0))

    def get_gene(self, name: str) -> Any:
        read = getattr(self.processor, "get_gene", None)
        if read is not None:
            return read(name)
        return self.get_genome().get(name)

    def gene_change(self, name: str, value: Any) -> None:
        change = getattr(self.processor, "gene_change", None) or getattr(self.processor, "change_gene", None)
        if change is not None:
            change(name, value)
            return
        holder = None if name in NO_GENES or name.startswith("_") else self._holder(name)
        if holder is None:
            raise ServiceError(f"Unknown gene: {name}", ErrorCode.NOT_FOUND)
        setattr(holder, name, value)
        manifest = getattr(self.processor, "genome_manifest", None)
        if isinstance(manifest, dict):
            manifest[name] = value

    def get_model(self, name: str) -> Mapping[str, Any] | None:
        read = getattr(self.processor, "get_model", None)
        if read is None:
            return None
        found: Mapping[str, Any] | None = read(name)
        return found or None

    def _holder(self, gene: str) -> Any:
        """Where KATO's engine keeps a gene that its processor has no method for: itself, or its modeler."""
        processor = self.processor
        parts = (processor, getattr(processor, "modeler", None), getattr(processor, "pattern_processor", None))
        return next((part for part in parts if isinstance(getattr(part, gene, None), GENE_TYPES)), None)

    def _reader(self, *names: str) -> Callable[[], Any]:
        """The first of the names that the processor has, as something to call; a plain attribute is read each time."""
        for name in names:
            found = getattr(self.processor, name, None)
            if callable(found):
                return found  # type: ignore[no-any-return]
            if found is not None:
                return lambda name=name: getattr(self.processor, name)  # type: ignore[misc]
        return lambda: _refuse(f"this processor has no {names[0]}")


def _refuse(message: str) -> Any:
    raise ServiceError(message, ErrorCode.UNKNOWN_METHOD)
