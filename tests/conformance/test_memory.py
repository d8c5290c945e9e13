"""The memory transport passes the conformance kit."""

from kato_transport.testing import TransportConformance


class TestMemory(TransportConformance):
    name = "memory"
