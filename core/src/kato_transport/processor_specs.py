"""From what a person writes after `--processor` to the processor that is meant."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from attrs import evolve

from kato_transport.errors import ConfigurationError, InvalidSetting
from kato_transport.plugins import registry
from kato_transport.processors import Processor, ProcessorSettings


def make_processor(spec: str, settings: ProcessorSettings) -> Processor:
    """A processor from `[ID=]NAME` or `[ID=]module:factory`.

    NAME is an installed processor. A factory is called with the settings, if it takes an argument, or with none; an
    object that is a processor already is taken as it is. `ConfigurationError` where neither can be had.
    """
    processor_id, separator, rest = spec.partition("=")
    if separator:
        spec, settings = rest, evolve(settings, processor_id=processor_id)
    if ":" not in spec:
        return registry().processor(spec).create(settings)
    found = _import_object(spec)
    if separator and _is_made(found):
        raise InvalidSetting(f"processor {spec!r} is made already, and has an id; it cannot be given {processor_id!r}")
    return _call_factory(spec, found, settings)


def own_file(folder: Path, spec: str) -> Path:
    """The file that the processor of a spec has for itself in a folder: by its id, or else by the whole spec."""
    return folder / f"{quote(spec.partition('=')[0], safe='')}.db"


def _import_object(spec: str) -> Any:
    module_name, _, path = spec.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as exc:
        raise InvalidSetting(f"processor {spec!r}: {type(exc).__name__}: {exc}; expected an importable module:factory") from exc
    return found


def _call_factory(spec: str, found: Any, settings: ProcessorSettings) -> Processor:
    if _is_made(found):
        return cast("Processor", found)
    if not callable(found):
        raise InvalidSetting(f"processor {spec!r}: {found!r} is neither a processor nor a factory of one")
    try:
        return cast("Processor", found(settings) if _takes_argument(found) else found())
    except ConfigurationError:
        raise
    except Exception as exc:
        raise InvalidSetting(f"processor {spec!r}: its factory failed: {type(exc).__name__}: {exc}") from exc


def _is_made(found: Any) -> bool:
    return not inspect.isclass(found) and hasattr(found, "observe")


def _takes_argument(factory: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
