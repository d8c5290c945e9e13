"""How a source is followed: what is done about gaps, how long is waited, and how much is held."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any

from attrs import field, frozen, validators

_number: list[Any] = [validators.instance_of((int, float)), validators.lt(math.inf)]
_above_0: list[Any] = [*_number, validators.gt(0)]
_from_0: list[Any] = [*_number, validators.ge(0)]
_count: list[Any] = [validators.instance_of(int), validators.ge(1)]


class Policy(StrEnum):
    """What is done when batches are lost for good."""

    DROP = "drop"
    """Forget the source and go on from what there is: nothing indexed is gone, something may be missing."""
    KEEP = "keep"
    """Keep what is known: little is missing, but some of it may be gone."""


@frozen(kw_only=True)
class StreamSettings:
    """All times in seconds."""

    policy: Policy = field(default=Policy.DROP, converter=Policy)
    probe_interval_s: float = field(default=5.0, validator=_above_0)
    """Quiet after which the replay endpoint is asked whether the last batch is still the last."""
    answer_timeout_s: float = field(default=1.5, validator=_above_0)
    """Silence of the replay endpoint after which a round counts as unanswered."""
    attempts: int = field(default=3, validator=_count)
    """Unanswered rounds in a row after which live batches go on without the replay."""
    longest_back_off_s: float = field(default=60.0, validator=_above_0)
    """Most between two probes of an endpoint that does not answer."""
    grace_s: float = field(default=10.0, validator=_from_0)
    """How long a connection may be down before what is known counts as stale."""
    silence_limit_s: float = field(default=0.0, validator=_from_0)
    """Silence after which a source counts as stale; 0: never, as an idle engine sends nothing."""
    held_batches: int = field(default=10_000, validator=_count)
    held_bytes: int = field(default=64 * 1024 * 1024, validator=_count)
    """Live batches, and their bytes, that wait for a replay at most; beyond, they are thrown away and asked for again."""
