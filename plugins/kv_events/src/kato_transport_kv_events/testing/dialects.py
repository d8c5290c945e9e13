"""What each version of an engine puts on the wire: a table of changes, from the version that brought them on."""

from __future__ import annotations

import re
from typing import Any, Final

from attrs import evolve, frozen

from kato_transport.errors import InvalidSetting

LIBZMQ_DEFAULT: Final = 1000


@frozen(kw_only=True)
class Dialect:
    """How one version of an engine says things."""

    stored: tuple[str, ...] = ()
    """Fields of a `BlockStored`, in order."""
    removed: tuple[str, ...] = ()
    """Fields of a `BlockRemoved`, in order."""
    events_are_maps: bool = False
    """Or else arrays, the tag first and every field in its place."""
    left_out: tuple[str, ...] = ()
    """Fields that a map does not have where they are None."""
    batch_has_rank: bool = False
    replay_has_topic: bool = False
    replay_high_water_mark: int = LIBZMQ_DEFAULT
    """Answers beyond it, of one that reads slowly, are dropped; 0 is no limit."""


def _fields(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CHANGES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "vllm": {
        "0.9.0": {
            "stored": _fields("block_hashes parent_block_hash token_ids block_size lora_id"),
            "removed": _fields("block_hashes"),
        },
        "0.9.1": {"batch_has_rank": True},
        "0.10.2": {"stored": _fields("medium"), "removed": _fields("medium")},
        "0.14.0": {"stored": _fields("lora_name")},
        "0.17.0": {"stored": _fields("extra_keys")},
        "0.20.0": {"stored": _fields("group_idx"), "removed": _fields("group_idx")},
        "0.22.0": {"stored": _fields("kv_cache_spec_kind kv_cache_spec_sliding_window")},
        "0.24.0": {
            "events_are_maps": True,
            "left_out": _fields(
                "extra_keys group_idx kv_cache_spec_kind kv_cache_spec_sliding_window"
                " locality ownership session_id lookahead_token_ids"
            ),
        },
        "0.26.0": {"stored": _fields("locality"), "removed": _fields("locality"), "replay_has_topic": True},
        "0.29.0": {"stored": _fields("ownership"), "removed": _fields("ownership")},
        "0.30.0": {"stored": _fields("session_id")},
        "0.33.0": {"stored": _fields("lookahead_token_ids"), "replay_high_water_mark": 0},
    },
    "sglang": {
        "0.4.6": {
            "stored": _fields("block_hashes parent_block_hash token_ids block_size lora_id"),
            "removed": _fields("block_hashes"),
        },
        "0.4.7": {"batch_has_rank": True},
        "0.5.9": {"stored": _fields("medium"), "removed": _fields("medium")},
        "0.5.20": {
            "stored": _fields("cache_salt session_id"),
            "events_are_maps": True,
            "left_out": _fields("cache_salt session_id lora_name"),
        },
        "0.5.22": {"stored": _fields("lora_name"), "replay_has_topic": True},
    },
}
"""By engine and version; fields are added to those there were."""

NAMES: Final = tuple(f"{engine}-{version}" for engine, changes in CHANGES.items() for version in changes)
"""The versions that changed something; those in between speak as the one before."""


def find_dialect(name: str) -> Dialect:
    """What `vllm-0.11.2` speaks; `InvalidSetting` for an engine unknown or a version before it had events."""
    engine, _, version = name.partition("-")
    asked = _numbers(version)
    changes = [change for since, change in CHANGES.get(engine, {}).items() if _numbers(since) <= asked]
    if not changes:
        raise InvalidSetting(f"no dialect {name!r}; there are {', '.join(NAMES)}, and all versions from those on")
    dialect = Dialect()
    for change in changes:
        added = {name: getattr(dialect, name) + change.get(name, ()) for name in ("stored", "removed")}
        dialect = evolve(dialect, **change | added)
    return dialect


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))
