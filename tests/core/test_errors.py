"""Errors: what they say, whose family they are of, and that they survive being sent to another process."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import kato_transport as kt
from kato_transport import errors
from kato_transport.wire import BadRequest

SAMPLES: list[kt.TransportError] = [
    errors.TransportError("broken"),
    errors.ConfigurationError("wrong"),
    errors.UnknownPlugin("codec", "jsn", ["msgpack", "json"]),
    errors.UnknownTransport("improve", ["improved", "basic"]),
    errors.PluginBroken("shm", "it fails"),
    errors.PluginDisabled("shm"),
    errors.InvalidSetting("ZMQ_PORT='x'"),
    errors.UnsupportedCapability("no"),
    errors.BindFailed("in use"),
    errors.ClientClosed("closed"),
    errors.ConnectFailed("nobody there"),
    errors.CallTimeout("observe", 1.5, "tcp://127.0.0.1:5555"),
    errors.ConnectionLost("cut"),
    errors.ProtocolError("odd"),
    errors.LocalProtocolError("too big"),
    errors.MessageTooLarge("observe", 300, 200),
    errors.RemoteProtocolError("odd"),
    errors.DecodeError("msgpack", b"\xc1", "unexpected byte", 1),
    errors.RemoteError("get_model", "Model X not found", "not_found"),
    errors.ServerBusy("observe", "full", "busy"),
    errors.DeadlineExceeded("observe", "not started, its 1 s had passed", "deadline_exceeded"),
    errors.ServiceError("no such gene", "not_found"),
    BadRequest("message is a list", 7, "too_large"),
]
ids = [type(error).__name__ for error in SAMPLES]


def test_every_error_class_has_a_sample_here() -> None:
    """So that a new one is tested, too."""
    defined = {cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.TransportError)}
    assert {type(error) for error in SAMPLES} == {*defined, BadRequest}


def test_every_error_class_is_importable_from_the_package() -> None:
    """As the design promises."""
    for name, cls in inspect.getmembers(errors, inspect.isclass):
        if issubclass(cls, errors.TransportError):
            assert getattr(kt, name) is cls


@pytest.mark.parametrize("error", SAMPLES, ids=ids)
@pytest.mark.parametrize("way", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickled", "copied"])
def test_an_error_survives_the_way_to_another_process(error: kt.TransportError, way: object) -> None:
    """With its type, its text and everything that it holds; a process pool's errors come that way."""
    there = way(error)  # type: ignore[operator]
    assert type(there) is type(error)
    assert str(there) == str(error)
    assert vars(there) == vars(error)


def test_the_notes_of_an_error_survive_too() -> None:
    """They hold the pip command."""
    error = errors.UnknownTransport("rest", [])
    error.add_note("pip install it")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["pip install it"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            errors.UnknownTransport("improve", ["improved", "basic"]),
            "no transport named 'improve'. Did you mean 'improved'? Installed: basic, improved.",
        ),
        (errors.UnknownPlugin("codec", "xyz", []), "no codec named 'xyz'. Installed: none."),
        (errors.PluginBroken("shm", "it fails"), "plugin 'shm' cannot be used: it fails"),
        (
            errors.CallTimeout("observe", 1.5, "tcp://h:1"),
            "observe: sent to tcp://h:1, no answer within 1.5 s; it may have run",
        ),
        (errors.DecodeError("json", b"{", "cut off", 1), "not json: cut off (1 bytes, beginning b'{')"),
        (errors.RemoteError("learn", "tired", "busy"), "learn: tired [busy]"),
        (errors.DeadlineExceeded("learn", "too late", "deadline_exceeded"), "learn: too late [deadline_exceeded]"),
        (errors.ServiceError("tired", "busy"), "tired"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_names_the_thing_and_the_next_step(error: kt.TransportError, text: str) -> None:
    """In one sentence or two."""
    assert str(error) == text


@pytest.mark.parametrize(
    ("error", "families"),
    [
        (errors.CallTimeout, [TimeoutError]),
        (errors.UnknownTransport, [errors.UnknownPlugin, errors.ConfigurationError]),
        (errors.PluginDisabled, [errors.PluginBroken, errors.ConfigurationError]),
        (errors.BindFailed, [errors.ConfigurationError]),
        (errors.ServerBusy, [errors.RemoteError]),
        (errors.DeadlineExceeded, [errors.RemoteError, TimeoutError]),
        (errors.DecodeError, [errors.RemoteProtocolError, errors.ProtocolError]),
        (errors.LocalProtocolError, [errors.ProtocolError]),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_families_answer_whether_to_try_again(error: type, families: list[type]) -> None:
    """So a caller can catch by the answer."""
    assert all(issubclass(error, family) for family in [*families, errors.TransportError])
