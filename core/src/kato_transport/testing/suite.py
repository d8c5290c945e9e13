"""The conformance kit for the transport that the environment selects.

KATO_ZMQ_IMPLEMENTATION=shm pytest --pyargs kato_transport.testing.suite
"""

from __future__ import annotations

import pytest

from kato_transport.settings import Settings
from kato_transport.testing import TransportConformance
from kato_transport.testing.base import load

try:
    SELECTED = load(Settings.from_env().transport)
except pytest.UsageError as exc:
    raise pytest.Collector.CollectError(str(exc)) from None  # pytest shows the text of this one, without a traceback


class TestSelectedTransport(TransportConformance):
    """The transport that the environment selects."""

    name = SELECTED.name
