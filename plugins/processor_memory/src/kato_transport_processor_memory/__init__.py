"""An embedded sequence memory: KATO's methods with nothing to install beside them.

Selected as `processor_memory`. It lives in memory; given a path, everything it acknowledged is also in one SQLite file
and outlives the process, however that ends. Lists of predictions are the exception: after a restart `get_predictions`
gives empty lists until the next observation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from kato_transport import ProcessorFactory, ProcessorSettings, hookimpl
from kato_transport_processor_memory.processor import MemoryProcessor, open_processor

__all__ = ["MemoryProcessor", "SequenceMemory", "kato_register_processors"]


class SequenceMemory:
    """Makes sequence memories; `InvalidSetting` for a genome or a path that cannot be used."""

    name: ClassVar[str] = "processor_memory"

    def create(self, settings: ProcessorSettings) -> MemoryProcessor:
        return open_processor(settings)


@hookimpl
def kato_register_processors() -> Iterable[ProcessorFactory]:
    return (SequenceMemory(),)
