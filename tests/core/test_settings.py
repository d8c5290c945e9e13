"""Every variable: its default, what it may be, and what is said about the rest."""

from __future__ import annotations

from typing import Any

import environ
import pytest

import kato_transport as kt
from kato_transport.codecs.msgpack import MsgpackCodec
from kato_transport.settings import Settings, describe, load, var

P = "KATO_TRANSPORT_"
TABLE: dict[str, tuple[str, Any, list[tuple[str, Any]], list[str]]] = {
    # variable: attribute, default, valid texts with their values, invalid texts
    "KATO_ZMQ_IMPLEMENTATION": ("transport", "improved", [("basic", "basic"), ("shm", "shm")], []),
    "ZMQ_PORT": ("zmq_port", 5555, [("0", 0), ("65535", 65535)], ["-1", "65536", "x", "5.5"]),
    "REST_PORT": ("rest_port", 8000, [("8080", 8080)], ["-1", "65536", "http"]),
    "LOG_LEVEL": ("log_level", "INFO", [("debug", "DEBUG"), ("ERROR", "ERROR")], ["LOUD", "10"]),
    "MANIFEST": ("manifest", {}, [('{"id": "p"}', {"id": "p"}), ("{}", {}), (" ", {})], ["[1]", "{", "5", '"text"']),
    f"{P}CODEC": ("codec", "msgpack", [("json", "json")], []),
    f"{P}TIMEOUT_S": ("timeout_s", 5.0, [("0.1", 0.1), ("3600", 3600.0)], ["0", "-1", "soon", "nan", "inf"]),
    f"{P}CONNECT_TIMEOUT_S": ("connect_timeout_s", 2.0, [("1", 1.0)], ["0", "-1", "x", "nan"]),
    f"{P}HEARTBEAT_INTERVAL_S": ("heartbeat_interval_s", 30.0, [("0", 0.0), ("1.5", 1.5)], ["-1", "x", "nan"]),
    f"{P}LIVENESS": ("liveness", 3, [("1", 1)], ["0", "-1", "1.5", "x"]),
    f"{P}MAX_MESSAGE_BYTES": ("max_message_bytes", 67108864, [("1024", 1024)], ["0", "-5", "64M"]),
    f"{P}MAX_CONNECTIONS": ("max_connections", 64, [("1", 1)], ["0", "-1", "many"]),
    f"{P}COMPRESSION": ("compression", "", [("zlib", "zlib"), (" ZSTD ", "zstd")], ["gzip", "1", "zlib,zstd"]),
    f"{P}COPIES": ("copies", 3, [("1", 1)], ["0", "-1", "x"]),
    f"{P}BREAKER_FAILURES": ("breaker_failures", 5, [("0", 0), ("1", 1)], ["-1", "x"]),
    f"{P}CLIENT_QUEUE_LIMIT": ("client_queue_limit", 500, [("1", 1)], ["0", "-1", "x"]),
    f"{P}KEPT_ANSWERS": ("kept_answers", 10_000, [("1", 1)], ["0", "-1", "x"]),
    f"{P}KEPT_BYTES": ("kept_bytes", 67108864, [("1024", 1024)], ["0", "-1", "64M"]),
    f"{P}KEPT_S": ("kept_s", 300.0, [("0.5", 0.5)], ["0", "-1", "x", "nan"]),
    f"{P}WORKERS": ("workers", 16, [("1", 1)], ["0", "-1", "x"]),
    f"{P}PROCESSES": ("processes", 1, [("4", 4)], ["0", "-1", "x", "1.5"]),
    f"{P}QUEUE_LIMIT": ("queue_limit", 1000, [("1", 1)], ["0", "-1", "x"]),
    f"{P}DRAIN_S": ("drain_s", 5.0, [("0", 0.0), ("2.5", 2.5)], ["-1", "x", "nan"]),
    f"{P}DISABLED_PLUGINS": ("disabled_plugins", "", [("a,b", "a,b")], []),
    f"{P}TRACE_PLUGINS": (
        "trace_plugins",
        False,
        [("1", True), ("off", False), ("Yes", True), ("FALSE", False)],
        ["maybe", "2"],
    ),
}
VALID = [(name, row[0], text, value) for name, row in TABLE.items() for text, value in row[2]]
INVALID = [(name, text) for name, row in TABLE.items() for text in row[3]]


def test_every_variable_stands_in_the_table_above() -> None:
    """So that a new one is tested, too."""
    assert {row.variable for row in describe(Settings, {})} == set(TABLE)


def test_without_an_environment_everything_has_its_default() -> None:
    """Those that the documents promise."""
    for settings in (Settings.from_env({}), Settings.from_env(dict.fromkeys(TABLE, ""))):
        assert {row[0]: getattr(settings, row[0]) for row in TABLE.values()} == {row[0]: row[1] for row in TABLE.values()}


@pytest.mark.parametrize(("name", "attribute", "text", "value"), VALID)
def test_a_variable_is_read(name: str, attribute: str, text: str, value: Any) -> None:
    """As its own type."""
    found = getattr(Settings.from_env({name: text}), attribute)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("name", "text"), INVALID)
def test_a_value_that_cannot_be_is_refused_with_its_variable(name: str, text: str) -> None:
    """The message names the variable and repeats the value, wherever it stands in the environment."""
    with pytest.raises(kt.InvalidSetting) as refused:
        Settings.from_env({"HOME": "/root", "KATO_ZMQ_IMPLEMENTATION": "basic", name: text, "LANG": "C"})
    assert str(refused.value).startswith(f"{name}={text!r}: ")


def test_the_environment_of_the_process_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at import."""
    monkeypatch.setenv("ZMQ_PORT", "1234")
    assert Settings.from_env().zmq_port == 1234
    monkeypatch.setenv("ZMQ_PORT", "1235")
    assert Settings.from_env().zmq_port == 1235


def test_each_setting_is_described_with_its_origin() -> None:
    """For `kato-transport config`."""
    rows = {row.variable: row for row in describe(Settings, {"ZMQ_PORT": "1", "LOG_LEVEL": ""})}
    assert (rows["ZMQ_PORT"].value, rows["ZMQ_PORT"].origin) == (1, "environment")
    assert (rows["LOG_LEVEL"].value, rows["LOG_LEVEL"].origin) == ("INFO", "default")
    assert all(row.help.endswith(".") for row in rows.values())


def test_settings_become_options_and_changes_win() -> None:
    """Both sides of a call."""
    settings = Settings.from_env({f"{P}LIVENESS": "7", f"{P}WORKERS": "2", f"{P}MAX_CONNECTIONS": "3"})
    client = settings.client_options(MsgpackCodec(), max_connections=4)
    server = settings.server_options(MsgpackCodec())
    assert (client.liveness, client.max_connections) == (7, 4)
    assert (server.liveness, server.workers) == (7, 2)


@pytest.mark.parametrize("name", ["timeout", "worker", "Liveness", ""])
def test_an_option_that_does_not_exist_is_refused_with_those_that_do(name: str) -> None:
    """By `connect` and `serve` alike."""
    settings = Settings.from_env({})
    with pytest.raises(kt.InvalidSetting, match=f"no option named '{name}'.*max_message_bytes"):
        settings.client_options(MsgpackCodec(), **{name: 1})
    with pytest.raises(kt.InvalidSetting, match="drain_s"):
        settings.server_options(MsgpackCodec(), **{name: 1})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("workers", 0),
        ("queue_limit", 0),
        ("drain_s", -1.0),
        ("max_message_bytes", 0),
        ("heartbeat_interval_s", -1.0),
        ("liveness", 0),
        ("workers", "8"),
    ],
)
def test_an_option_of_a_server_cannot_have_a_value_that_its_variable_could_not(option: str, value: Any) -> None:
    """A server without workers, for one, would answer nobody."""
    with pytest.raises(kt.InvalidSetting, match=option):
        kt.serve({"m": dict}, "memory://", transport="memory", **{option: value}).close()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("connect_timeout_s", 0.0),
        ("max_connections", 0),
        ("liveness", 0),
        ("heartbeat_interval_s", -1.0),
        ("max_message_bytes", -1),
    ],
)
def test_an_option_of_a_client_cannot_have_a_value_that_its_variable_could_not(option: str, value: Any) -> None:
    """The same on the other side."""
    with pytest.raises(kt.InvalidSetting, match=option):
        kt.connect("memory://nobody", transport="memory", **{option: value}).close()


@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan")], ids=repr)
def test_a_clients_timeout_is_above_nothing(timeout_s: float) -> None:
    """Whoever sets it."""
    with pytest.raises(kt.InvalidSetting, match="timeout_s must be above 0"):
        kt.connect("memory://nobody", transport="memory", timeout_s=timeout_s)


def test_a_plugins_settings_are_read_the_same_way() -> None:
    """With `var`, in a class of its own."""

    @environ.config(prefix="", frozen=True)
    class ShmSettings:
        size: int = var("KATO_TRANSPORT_SHM_SIZE", 10, int, "Size in pages.")

    assert load(ShmSettings, {}).size == 10
    with pytest.raises(kt.InvalidSetting, match=r"KATO_TRANSPORT_SHM_SIZE='big': .*Size in pages"):
        load(ShmSettings, {"KATO_TRANSPORT_SHM_SIZE": "big"})
