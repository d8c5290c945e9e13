"""An engine's publisher without the engine: its module, unmodified, with something in the place of what it imports.

The publisher itself needs msgspec, pyzmq and, with SGLang, pydantic, which are the real ones.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

ENGINES = ("vllm", "sglang")
USED = {"init_logger": logging.getLogger, "ExternalBlockHash": bytes | int, "KVEventsConfig": SimpleNamespace}
"""What the publisher does something with; all else is imported and left alone."""


class _Stub(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return USED.get(name) or type(name, (), {})


class _Stubs(MetaPathFinder, Loader):
    """Any module of an engine's package."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in ENGINES else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Stub(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def load(path: str) -> ModuleType:
    """The publisher's module from its file."""
    sys.meta_path.insert(0, _Stubs())
    spec = importlib.util.spec_from_file_location("kv_events", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["kv_events"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
