"""Engines for all tests of KV events; a test lets go of everything at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kato_transport_kv_events.testing import EventPublisher


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    """What is entered here is let go of at the test's end, the last first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def engine(closing: ExitStack) -> Callable[..., EventPublisher]:
    """A publisher: `engine(dialect, **options)`."""
    return lambda *args, **options: closing.enter_context(EventPublisher(*args, **options))
