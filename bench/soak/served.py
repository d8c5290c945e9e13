"""The processor that the soak serves: the embedded one, which also tells about the process that it is in.

`kato-transport serve` tells nobody its counters; a gene of a name of its own does here.
"""

from __future__ import annotations

import gc
import os
import threading
from typing import Any, Final

from kato_transport import Processor, ProcessorSettings
from kato_transport.once import OnceOnly
from kato_transport.processor_specs import make_processor

GENE: Final = "soak"


def processor(settings: ProcessorSettings) -> Processor:
    """What `--processor` names."""
    made = make_processor("processor_memory", settings)
    genes = made.get_gene

    def get_gene(gene_name: str) -> Any:
        return _about_this_process() if gene_name == GENE else genes(gene_name)

    made.get_gene = get_gene  # type: ignore[method-assign]
    return made


def _about_this_process() -> dict[str, Any]:
    kept = [found.stats() for found in gc.get_objects() if type(found) is OnceOnly]
    return {
        "repeats": sum(stats["repeats"] for stats in kept),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/dev/fd")),
    }
