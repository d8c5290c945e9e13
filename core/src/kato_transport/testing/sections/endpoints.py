"""Endpoints: taken, malformed, and as bound."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig

MALFORMED = ["", "no endpoint", "nosuchscheme://somewhere", "://"]


class Endpoints(Conformance):
    """An endpoint that cannot be had is an error before anything runs."""

    def test_the_endpoint_is_as_bound(self, rig: Rig) -> None:
        """What a server says is what a client connects to, a free port's number included."""
        server = rig.serve()
        assert not server.endpoint.endswith(":0")
        assert rig.connect(server.endpoint).call("echo", {"value": 1})["value"] == 1

    def test_an_endpoint_in_use_is_bind_failed(self, rig: Rig) -> None:
        """And the server that has it goes on."""
        server = rig.serve()
        client = rig.connect(server)
        with pytest.raises(kt.BindFailed):
            rig.serve(endpoint=server.endpoint)
        assert client.call("echo", {"value": 1})["value"] == 1

    def test_an_endpoint_is_free_again_after_close(self, rig: Rig) -> None:
        """At once, for whoever comes next."""
        server = rig.serve()
        rig.connect(server).call("echo", {"value": 1})
        for _ in range(5):
            server.close()
            server = rig.serve(endpoint=server.endpoint)
        assert rig.connect(server).call("echo", {"value": 1})["value"] == 1

    @pytest.mark.parametrize("endpoint", MALFORMED)
    def test_connecting_to_a_malformed_endpoint_is_an_invalid_setting(self, rig: Rig, endpoint: str) -> None:
        """Told when connecting, not by the first call."""
        with pytest.raises(kt.InvalidSetting):
            rig.connect(endpoint)

    @pytest.mark.parametrize("endpoint", MALFORMED)
    def test_serving_on_a_malformed_endpoint_is_refused(self, rig: Rig, endpoint: str) -> None:
        """`InvalidSetting`, or `BindFailed` by who finds out in trying."""
        with pytest.raises((kt.InvalidSetting, kt.BindFailed)):
            rig.serve(endpoint=endpoint)
