"""Faults in event streams."""

from planted.base import Healthy


class RepeatsEvents(Healthy):
    """Every fiftieth event is delivered twice."""

    def subscribe(self, endpoint, handler, options):
        return super().subscribe(endpoint, Repeating(handler), options)


class Repeating:
    def __init__(self, handler):
        self.handler, self.count = handler, 0

    def handle_event(self, event):
        self.count += 1
        for _ in range(1 if self.count % 50 else 2):
            self.handler.handle_event(event)


class GoesOnAfterClose(Healthy):
    """A closed subscription still delivers."""

    def subscribe(self, endpoint, handler, options):
        super().subscribe(endpoint, handler, options)
        return Deaf()


class Deaf:
    def close(self):
        """Does nothing."""
