"""The improved transport (ROUTER/DEALER) passes the conformance kit."""

from kato_transport.testing import TransportConformance


class TestImproved(TransportConformance):
    name = "improved"
