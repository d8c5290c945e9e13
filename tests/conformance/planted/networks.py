"""Faults that only a network brings to light."""

from plain_tcp import PlainTcp, Server, end

import kato_transport as kt


class ReadsHalfMessages(PlainTcp):
    """Takes whatever one read brings for the whole message."""

    name = "planted"

    def serve(self, endpoint, service, options):
        return HalfReadingServer(endpoint, service, options)


class HalfReadingServer(Server):
    def _converse(self, sock):
        class Impatient:
            def __getattr__(self, name):
                return getattr(sock, name)

            def __enter__(self):
                return self

            def __exit__(self, *exc):
                end(sock)

            def recv(self, size):
                data = sock.recv(size)
                if data and len(data) < min(size, 4096):
                    end(sock)
                return data

        super()._converse(Impatient())


class NeverReconnects(PlainTcp):
    """A connection that broke once stays broken."""

    name = "planted"

    def connect(self, endpoint, options):
        return Fragile(super().connect(endpoint, options), endpoint, options)


class Fragile:
    broken = False

    def __init__(self, inner, endpoint, options):
        self.inner = inner

    def request(self, request):
        if self.broken:
            raise kt.ConnectionLost("still broken")
        try:
            return self.inner.request(request)
        except kt.ConnectionLost:
            self.broken = True
            raise

    def close(self):
        self.inner.close()


class ClaimsHeartbeats(PlainTcp):
    """Claims HEARTBEAT and has none."""

    name = "planted"
    capabilities = kt.Capability.REQUEST_REPLY | kt.Capability.HEARTBEAT
