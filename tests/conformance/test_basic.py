"""The basic transport (REQ/REP) passes the conformance kit."""

from kato_transport.testing import TransportConformance


class TestBasic(TransportConformance):
    name = "basic"
