"""The rest transport (HTTP) passes the conformance kit."""

from kato_transport.testing import TransportConformance


class TestRest(TransportConformance):
    name = "rest"
