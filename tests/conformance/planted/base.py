"""A healthy transport to plant faults into."""

from kato_transport.memory import MemoryTransport

HANG_S = 3.5
"""How long what hangs does so: longer than the kit waits, and not for ever."""


class Wire:
    """A connection that passes everything on to a healthy one."""

    def __init__(self, inner, endpoint, options):
        self.inner, self.endpoint, self.options = inner, endpoint, options

    def request(self, request):
        return self.inner.request(request)

    def submit(self, request):
        return self.inner.submit(request)

    def request_many(self, requests):
        return self.inner.request_many(requests)

    def close(self):
        self.inner.close()


class Healthy(MemoryTransport):
    """No fault at all: `memory`, with places for faults in its connections and in the service it is given."""

    name = "planted"
    Link = Wire

    def connect(self, endpoint, options):
        return self.Link(super().connect(endpoint, options), endpoint, options)

    def serve(self, endpoint, service, options):
        return super().serve(endpoint, self.wrapped(service), options)

    def wrapped(self, service):
        return service
