"""The conformance kit: what a transport has to do, as tests that run against any of them.

    from kato_transport.testing import TransportConformance

    class TestShm(TransportConformance):
        name = "shm"

or, with nothing written at all: `KATO_ZMQ_IMPLEMENTATION=shm pytest --pyargs kato_transport.testing.suite`.

A test that needs a capability is skipped for a transport that does not claim it; one that claims it has to pass. Needs
pytest: `pip install 'kato-transport-core[testing]'`.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("kato_transport.testing.sections", "kato_transport.testing.suite")

from kato_transport.testing.base import requires  # noqa: E402 -- asserts are rewritten in what is imported after the line above
from kato_transport.testing.conformance import TransportConformance  # noqa: E402 -- likewise
from kato_transport.testing.proxy import FaultProxy  # noqa: E402 -- likewise

__all__ = ["FaultProxy", "TransportConformance", "requires"]
