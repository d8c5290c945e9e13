"""Errors by type."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport.testing.base import Conformance
from kato_transport.testing.rig import Rig, once

TRACEBACK_MARKS = ("Traceback", 'File "', "\n")


class Errors(Conformance):
    """An error answer arrives as `RemoteError` with its code, and the connection goes on."""

    def test_an_unknown_method_is_told_by_its_code(self, rig: Rig) -> None:
        """`unknown_method`, and the message names the method."""
        client = rig.connect(rig.serve())
        with pytest.raises(kt.RemoteError, match="no_such_method") as caught:
            client.call("no_such_method")
        assert caught.value.code == "unknown_method"

    def test_params_that_do_not_fit_are_told_by_their_code(self, rig: Rig) -> None:
        """`invalid_params`, be they too few, too many or others."""
        client = rig.connect(rig.serve())
        for params in ({}, {"value": 1, "more": 2}, {"other": 1}):
            with pytest.raises(kt.RemoteError) as caught:
                client.call("echo", params)
            assert caught.value.code == "invalid_params"

    def test_a_services_own_error_keeps_message_and_code(self, rig: Rig) -> None:
        """What a `ServiceError` says reaches the caller as it is."""
        client = rig.connect(rig.serve())
        for code in ("not_found", "invalid_params", "unauthenticated", "unavailable", "internal"):
            with pytest.raises(kt.RemoteError) as caught:
                client.call("refuse", {"message": "gene not found: größe", "code": code})
            assert (caught.value.message, caught.value.code) == ("gene not found: größe", code)

    def test_a_service_that_raises_is_an_internal_error(self, rig: Rig) -> None:
        """Whatever it raises; the caller learns the method and the code."""
        client = rig.connect(rig.serve())
        with pytest.raises(kt.RemoteError, match="fail") as caught:
            client.call("fail", {"text": "out of luck"})
        assert caught.value.code == "internal"

    def test_no_answer_carries_a_traceback(self, rig: Rig) -> None:
        """Neither the message nor anything beside it shows the server's insides."""
        client = rig.connect(rig.serve())
        answer = client.request(kt.Request("fail", {"text": "out of luck"}))
        assert answer.is_error
        texts = [value for value in answer.body.values() if isinstance(value, str)]
        assert [text for text in texts if any(mark in text for mark in TRACEBACK_MARKS)] == []

    def test_an_answer_that_cannot_be_carried_is_an_internal_error(self, rig: Rig) -> None:
        """The caller hears about it at once, not by a timeout."""
        client = rig.connect(rig.serve())
        with pytest.raises(kt.RemoteError) as caught:
            once(client, "unspeakable")
        assert caught.value.code == "internal"

    def test_an_error_leaves_the_client_usable(self, rig: Rig) -> None:
        """The next call on the same client is answered."""
        client = rig.connect(rig.serve())
        for method in ("fail", "unspeakable", "no_such_method") * 2:
            with pytest.raises(kt.RemoteError):
                client.call(method)
            assert client.call("echo", {"value": method})["value"] == method

    def test_params_that_cannot_be_carried_are_refused_before_sending(self, rig: Rig) -> None:
        """`LocalProtocolError`, and the next call is answered."""
        client = rig.connect(rig.serve())
        with pytest.raises(kt.LocalProtocolError):
            client.call("count", {"token": object()})
        assert not rig.service.runs
        assert client.call("echo", {"value": 1})["value"] == 1
