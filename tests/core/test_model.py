"""Requests and responses."""

from __future__ import annotations

import pytest
from attrs.exceptions import FrozenInstanceError

from kato_transport import RemoteError, Request, Response, ServerBusy
from kato_transport.model import ErrorCode


def test_an_okay_answer_is_its_fields_and_its_status() -> None:
    """In a plain dict."""
    assert Response.okay(a=1).result("m") == {"status": "okay", "a": 1}


def test_an_answer_without_a_status_is_no_error() -> None:
    """As the bare genome has none."""
    assert not Response({"recall_threshold": 0.1}).is_error


def test_an_error_answer_raises_with_the_method_the_message_and_the_code() -> None:
    """The three things a caller can act on."""
    with pytest.raises(RemoteError) as raised:
        Response.error("no such model", ErrorCode.NOT_FOUND).result("get_model")
    error = raised.value
    assert (error.method, error.message, error.code) == ("get_model", "no such model", "not_found")
    assert str(error) == "get_model: no such model [not_found]"
    assert type(error.code) is str


def test_a_busy_answer_raises_an_error_of_its_own() -> None:
    """Which the retry policy looks for."""
    with pytest.raises(ServerBusy):
        Response.error("full", ErrorCode.BUSY).result("m")


def test_an_answer_that_the_time_had_passed_raises_a_timeout() -> None:
    """As does a call whose time passes here."""
    with pytest.raises(TimeoutError, match="too late") as raised:
        Response.error("too late", ErrorCode.DEADLINE_EXCEEDED).result("m")
    assert isinstance(raised.value, RemoteError)


@pytest.mark.parametrize("body", [{"status": "error"}, {"status": "error", "message": None, "code": 5}])
def test_an_error_answer_of_a_careless_peer_is_one_all_the_same(body: dict[str, object]) -> None:
    """Whatever its message and code are."""
    with pytest.raises(RemoteError) as raised:
        Response(body).result("m")
    assert isinstance(raised.value.message, str)
    assert isinstance(raised.value.code, str)


def test_messages_cannot_be_changed() -> None:
    """So they can be shared by threads."""
    with pytest.raises(FrozenInstanceError):
        Request("m").method = "other"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Response({}).body = {}  # type: ignore[misc]


def test_a_result_of_another_kind_of_map_is_a_dict() -> None:
    """As callers are promised one."""
    from types import MappingProxyType

    assert type(Response(MappingProxyType({"status": "okay"})).result("m")) is dict
