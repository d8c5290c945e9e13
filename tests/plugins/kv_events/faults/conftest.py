"""Engines, and gateways that follow them; a test lets go of all at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from kato_transport_kv_events import BlockIndex, KVEventManager, Limits, StreamSettings
from kato_transport_kv_events.testing import EventPublisher

from ..subscription.conftest import QUICK
from ..subscription.recorder import Recorder
from .gateway import Gateway


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is entered here is let go of at the test's end, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def engine(closing: ExitStack) -> Callable[..., EventPublisher]:
    """A publisher: `engine(dialect, **options)`."""
    return lambda *args, **options: closing.enter_context(EventPublisher(*args, **options))


@pytest.fixture
def gateway(closing: ExitStack) -> Callable[..., Gateway]:
    """A gateway that follows nobody yet: `gateway(index, *other handlers, settings=…, limits=…)`."""

    def made(
        index: BlockIndex | None = None, *others: Any, settings: StreamSettings = QUICK, limits: Limits | None = None
    ) -> Gateway:
        index, told = index or BlockIndex(), Recorder()
        manager = closing.enter_context(KVEventManager([index, told, *others], settings=settings, limits=limits))
        return Gateway(index, manager, told)

    return made
