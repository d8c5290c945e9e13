"""A manager, engines to be found, and rosters that are closed at a test's end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kato_transport_kv_events.discovery import Discovery, Roster
from kato_transport_kv_events.subscription import KVEventManager
from kato_transport_kv_events.testing import EventPublisher


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is entered here is let go of at the test's end, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def manager(closing: ExitStack) -> KVEventManager:
    """Follows nothing yet."""
    return closing.enter_context(KVEventManager())


@pytest.fixture
def publisher(closing: ExitStack) -> EventPublisher:
    """An engine that can be followed."""
    return closing.enter_context(EventPublisher())


@pytest.fixture
def follow(closing: ExitStack, manager: KVEventManager) -> Callable[[Discovery], Roster]:
    """Has the manager follow what a discovery finds."""
    return lambda discovery: closing.enter_context(Roster(manager, discovery))
