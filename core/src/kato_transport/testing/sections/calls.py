"""Calls and replies."""

from __future__ import annotations

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Calls(Conformance):
    """A call goes to the service once, whole, and its own answer comes back."""

    def test_a_call_is_answered(self, rig: Rig) -> None:
        """The service's map comes back, and its status is okay."""
        with rig.serve() as server, rig.connect(server) as client:
            assert client.call("echo", {"value": 1}) == {"status": "okay", "value": 1}

    def test_params_may_be_left_out(self, rig: Rig) -> None:
        """No params are an empty map."""
        client = rig.connect(rig.serve())
        assert client.call("nothing") == client.call("nothing", {}) == {"status": "okay"}

    def test_calls_in_turn_get_their_own_answers(self, rig: Rig) -> None:
        """One client, one call after the other."""
        client = rig.connect(rig.serve())
        assert [client.call("echo", {"value": n})["value"] for n in range(50)] == list(range(50))

    def test_a_call_runs_once(self, rig: Rig) -> None:
        """Nothing is sent or run twice while nothing goes wrong."""
        client = rig.connect(rig.serve())
        tokens = [f"token {n}" for n in range(20)]
        for token in tokens:
            client.call("count", {"token": token})
        assert rig.service.runs == dict.fromkeys(tokens, 1)

    def test_several_clients_are_told_apart(self, rig: Rig) -> None:
        """Answers go to who asked."""
        server = rig.serve()
        clients = [rig.connect(server) for _ in range(5)]
        for _ in range(3):
            assert [client.call("echo", {"value": n})["value"] for n, client in enumerate(clients)] == list(range(5))

    def test_several_servers_are_told_apart(self, rig: Rig) -> None:
        """Each server has an endpoint of its own, and answers there."""
        servers = [rig.serve({"who": lambda n=n: {"value": n}}) for n in range(3)]
        assert len({server.endpoint for server in servers}) == 3
        assert [rig.connect(server).call("who")["value"] for server in servers] == [0, 1, 2]

    def test_a_service_may_be_one_function(self, rig: Rig) -> None:
        """A function from request to response is a service, too."""
        client = rig.connect(rig.serve(lambda request: kt.Response.okay(method=request.method, got=dict(request.params))))
        assert client.call("anything", {"a": 1}) == {"status": "okay", "method": "anything", "got": {"a": 1}}

    def test_what_a_request_says_beside_its_params_arrives(self, rig: Rig) -> None:
        """Processor id, trace and the caller's remaining time reach the service."""
        seen: list[kt.Request] = []

        def service(request: kt.Request) -> kt.Response:
            seen.append(request)
            return kt.Response.okay()

        client = rig.connect(rig.serve(service))
        client.request(kt.Request("any", processor_id="p46b6b076c", timeout_s=7.5, trace=TRACE))
        (request,) = seen
        assert (request.method, request.processor_id, request.trace) == ("any", "p46b6b076c", TRACE)
        assert 0 < request.timeout_s <= 7.5

    def test_a_ping_is_answered_whatever_is_served(self, rig: Rig) -> None:
        """The server answers it by itself, and tells what it can do."""
        answer = rig.connect(rig.serve({})).call("ping")
        assert answer["message"] == "pong"
        assert isinstance(answer["features"], list)
