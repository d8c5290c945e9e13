"""KV-cache events of vLLM and SGLang engines: what they say, in every dialect, and what to make of it.

Names are imported when they are first used, so that finding the plugin costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kato_transport_kv_events.wire import Batch, UndecodableBatch, decode_batch

__all__ = ["Batch", "UndecodableBatch", "decode_batch"]

_HOMES = {"Batch": "wire", "UndecodableBatch": "wire", "decode_batch": "wire"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
