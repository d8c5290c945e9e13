"""The kv_events transport passes the conformance kit."""

from __future__ import annotations

import pytest

from kato_transport.testing import TransportConformance
from kato_transport_kv_events.testing import EventPublisher


class TestKVEvents(TransportConformance):
    name = "kv_events"

    @pytest.fixture(autouse=True)
    def _publisher(self):
        with EventPublisher() as self.publisher:
            yield

    def endpoint(self, tmp_path):
        return self.publisher.endpoint

    def publish(self, endpoint, event):
        self.publisher.publish(event)
