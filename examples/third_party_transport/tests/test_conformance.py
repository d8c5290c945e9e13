from kato_transport.testing import TransportConformance


class TestUnix(TransportConformance):
    name = "unix"
