"""Managers that follow engines, and a handler that keeps what it was told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from kato_transport_kv_events.stream import Policy, StreamSettings
from kato_transport_kv_events.subscription import KVEventManager, Source
from kato_transport_kv_events.testing import EventPublisher

from .recorder import Recorder

QUICK = StreamSettings(probe_interval_s=0.3, answer_timeout_s=1.0, attempts=2, grace_s=0.3, longest_back_off_s=0.5)
"""For tests that wait for probes; an answer still has the time that a busy machine takes."""


@pytest.fixture
def recorder() -> Recorder:
    """What the managers tell."""
    return Recorder()


@pytest.fixture
def manager(closing: ExitStack, recorder: Recorder) -> KVEventManager:
    """Follows nothing yet."""
    return closing.enter_context(KVEventManager([recorder], settings=QUICK))


@pytest.fixture
def follow(manager: KVEventManager) -> Callable[..., KVEventManager]:
    """Follows a publisher as pod `a`, or as told: `follow(engine, policy=…)`; gives the manager."""

    def followed(publisher: EventPublisher, *, policy: Policy = Policy.DROP, pod: str = "a", **fields: Any) -> KVEventManager:
        replay = {"replay_endpoint": publisher.replay_endpoint or ""}
        manager.add_source(Source(pod=pod, endpoint=publisher.endpoint, policy=policy, **{**replay, **fields}))
        return manager

    return followed
