"""Every setting with its environment variable, default and help, in one table read by environ-config.

The environment is read at the edge: by `Settings.from_env()`, which the command line and `kato_transport.connect` and
`serve` call. `kato-transport config` and docs/settings.md come from the same table.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

import environ
from attrs import evolve, fields, frozen, validators
from environ.exceptions import ConfigError

from kato_transport.compression import COMPRESSIONS
from kato_transport.contracts import ClientOptions, Codec, ServerOptions
from kato_transport.errors import InvalidSetting

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_port = validators.and_(validators.ge(0), validators.le(65535))
_finite = validators.lt(math.inf)
_positive = [validators.gt(0), _finite]
_not_negative = [validators.ge(0), _finite]


def var(name: str, default: Any, convert: Callable[[Any], Any], text: str, validator: Any = None) -> Any:
    """A setting: its variable, default, type and help text; for plugins' settings classes, too."""
    return environ.var(default, name=name, converter=convert, validator=validator, help=text)


def flag(value: Any) -> bool:
    """`1`, `true`, `yes`, `on` or their opposites; anything else is a mistake and is not taken for false."""
    word = str(value).strip().lower()
    if word not in ("1", "true", "yes", "on", "0", "false", "no", "off", ""):
        raise ValueError(f"expected one of 1, true, yes, on, 0, false, no, off, not {value!r}")
    return word in ("1", "true", "yes", "on")


def genome(value: Any) -> dict[str, Any]:
    """A genome as KATO's `MANIFEST` gives it: a JSON object, or nothing."""
    text = value.strip() if isinstance(value, str) else value
    found = json.loads(text) if isinstance(text, str) and text else text or {}
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, not {value!r}")
    return found


@environ.config(prefix="", frozen=True)
class Settings:
    """The settings of core; a plugin adds its own with the hook `kato_register_settings`."""

    transport: str = var(
        "KATO_ZMQ_IMPLEMENTATION",
        "improved",
        lambda v: str(v).strip().lower(),
        "Transport to use: improved, basic (alias legacy), or any installed one.",
    )
    zmq_port: int = var("ZMQ_PORT", 5555, int, "Port of the request transport; 0: any free one.", _port)
    rest_port: int = var("REST_PORT", 8000, int, "Port of the REST gateway; 0: any free one.", _port)
    log_level: str = var(
        "LOG_LEVEL",
        "INFO",
        lambda v: str(v).upper(),
        "Least severe log level shown.",
        validators.in_(LOG_LEVELS),
    )
    manifest: dict[str, Any] = var("MANIFEST", "", genome, "Genome of the processor, a JSON object.")
    codec: str = var("KATO_TRANSPORT_CODEC", "msgpack", str, "Codec of messages: msgpack, json, or any installed one.")
    timeout_s: float = var("KATO_TRANSPORT_TIMEOUT_S", 5.0, float, "Seconds a call waits for its answer.", _positive)
    connect_timeout_s: float = var(
        "KATO_TRANSPORT_CONNECT_TIMEOUT_S",
        2.0,
        float,
        "Seconds a call waits for a peer to be there at all.",
        _positive,
    )
    heartbeat_interval_s: float = var(
        "KATO_TRANSPORT_HEARTBEAT_INTERVAL_S",
        30.0,
        float,
        "Seconds of silence between heartbeats; 0: none.",
        _not_negative,
    )
    liveness: int = var(
        "KATO_TRANSPORT_LIVENESS",
        3,
        int,
        "Silent heartbeat intervals after which a peer counts as gone.",
        _positive,
    )
    max_message_bytes: int = var(
        "KATO_TRANSPORT_MAX_MESSAGE_BYTES",
        64 * 1024 * 1024,
        int,
        "Largest message sent or taken, in bytes.",
        _positive,
    )
    max_connections: int = var("KATO_TRANSPORT_MAX_CONNECTIONS", 64, int, "Sockets one client opens at most.", _positive)
    compression: str = var(
        "KATO_TRANSPORT_COMPRESSION",
        "",
        lambda v: str(v).strip().lower(),
        "Compression of large messages, with servers that can: zlib or zstd; none by default.",
        validators.in_(("", *COMPRESSIONS)),
    )
    copies: int = var(
        "KATO_TRANSPORT_COPIES",
        3,
        int,
        "Copies of a call that share its time, with servers that run none twice; 1: no call is sent again.",
        _positive,
    )
    breaker_failures: int = var(
        "KATO_TRANSPORT_BREAKER_FAILURES",
        5,
        int,
        "Failures in a row after which an endpoint is left alone for a moment; 0: never.",
        _not_negative,
    )
    workers: int = var(
        "KATO_TRANSPORT_WORKERS", 16, int, "Handlers that are not inline, of one server, that run at a time.", _positive
    )
    processes: int = var(
        "KATO_TRANSPORT_PROCESSES",
        1,
        int,
        "Processes that share a server's processors; 1: the server itself.",
        _positive,
    )
    queue_limit: int = var(
        "KATO_TRANSPORT_QUEUE_LIMIT",
        1000,
        int,
        "Requests waiting for a worker before the next is answered busy.",
        _positive,
    )
    client_queue_limit: int = var(
        "KATO_TRANSPORT_CLIENT_QUEUE_LIMIT",
        500,
        int,
        "Requests of one client waiting or being worked on before its next is answered busy.",
        _positive,
    )
    kept_answers: int = var(
        "KATO_TRANSPORT_KEPT_ANSWERS",
        10_000,
        int,
        "Answers a server keeps for copies of their calls.",
        _positive,
    )
    kept_bytes: int = var(
        "KATO_TRANSPORT_KEPT_BYTES",
        64 * 1024 * 1024,
        int,
        "What the answers kept may come to, in bytes.",
        _positive,
    )
    kept_s: float = var("KATO_TRANSPORT_KEPT_S", 300.0, float, "Seconds for which an answer is kept at most.", _positive)
    drain_s: float = var(
        "KATO_TRANSPORT_DRAIN_S",
        5.0,
        float,
        "Seconds a closing server gives to requests already taken.",
        _not_negative,
    )
    disabled_plugins: str = var(
        "KATO_TRANSPORT_DISABLED_PLUGINS",
        "",
        str,
        "Plugins not to load, by entry-point name, separated by commas.",
    )
    trace_plugins: bool = var(
        "KATO_TRANSPORT_TRACE_PLUGINS",
        False,
        flag,
        "Print each hook call, who implements it and its result to stderr.",
    )

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """The settings of an environment (`os.environ`); `InvalidSetting` names the variable and what it may be."""
        return load(cls, env)

    def client_options(self, codec: Codec, **changes: Any) -> ClientOptions:
        """What a connection is told; `changes` win over the settings."""
        return _options(
            ClientOptions(
                codec=codec,
                connect_timeout_s=self.connect_timeout_s,
                heartbeat_interval_s=self.heartbeat_interval_s,
                liveness=self.liveness,
                max_message_bytes=self.max_message_bytes,
                max_connections=self.max_connections,
                compression=self.compression,
                copies=self.copies,
                breaker_failures=self.breaker_failures,
            ),
            changes,
        )

    def server_options(self, codec: Codec, **changes: Any) -> ServerOptions:
        """What a server is told; `changes` win over the settings."""
        return _options(
            ServerOptions(
                codec=codec,
                workers=self.workers,
                queue_limit=self.queue_limit,
                client_queue_limit=self.client_queue_limit,
                kept_answers=self.kept_answers,
                kept_bytes=self.kept_bytes,
                kept_s=self.kept_s,
                heartbeat_interval_s=self.heartbeat_interval_s,
                liveness=self.liveness,
                max_message_bytes=self.max_message_bytes,
                drain_s=self.drain_s,
            ),
            changes,
        )


S = TypeVar("S")
O = TypeVar("O", ClientOptions, ServerOptions)  # noqa: E741 -- the one letter that says options


def _options(options: O, changes: Mapping[str, Any]) -> O:
    known = {attribute.name for attribute in fields(type(options))} - {"codec"}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise InvalidSetting(f"no option named {unknown[0]!r}. There are: {', '.join(sorted(known))}.")
    try:
        return evolve(options, **changes)
    except (ValueError, TypeError) as exc:
        raise InvalidSetting(str(exc.args[0] if exc.args else exc)) from exc


def load(cls: type[S], env: Mapping[str, str] | None = None) -> S:
    """A settings class filled from an environment; empty variables count as not set."""
    env = {name: text for name, text in (os.environ if env is None else env).items() if text != ""}
    try:
        return environ.to_config(cls, environ=env)
    except (ValueError, TypeError, ConfigError) as exc:
        raise InvalidSetting(_which(cls, env, exc)) from exc


def _which(cls: type, env: Mapping[str, str], exc: Exception) -> str:
    """The message of an `InvalidSetting`: found by trying each variable by itself, as attrs does not name it."""
    for row in describe(cls, {}):
        if row.variable in env:
            try:
                environ.to_config(cls, environ={row.variable: env[row.variable]})
            except (ValueError, TypeError, ConfigError) as own:
                return f"{row.variable}={env[row.variable]!r}: {own.args[0] if own.args else own} ({row.help})"
    return str(exc)


@frozen
class SettingRow:
    """One setting, as `kato-transport config` shows it."""

    variable: str
    value: Any
    origin: str
    """`environment` or `default`."""
    help: str


def describe(cls: type, env: Mapping[str, str] | None = None) -> Iterator[SettingRow]:
    """Each setting of a class with its value in an environment and where that comes from."""
    env = os.environ if env is None else env
    values: Any = load(cls, env)
    for attribute in fields(cls):
        entry = attribute.metadata["environ_config"]
        origin = "environment" if env.get(entry.name) else "default"
        yield SettingRow(entry.name, getattr(values, attribute.name), origin, entry.help)
