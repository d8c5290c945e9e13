"""What KATO's users set in the environment; read when something is made, never at import.

A default port is a number of its own kind, so that a port left out (`ZMQ_PORT`'s, then) can be told from the same number
given.
"""

from __future__ import annotations

from typing import Final

from kato_transport.plugins import registry
from kato_transport.settings import Settings


class DefaultPort(int):
    """A port nobody asked for."""


ZMQ_PORT: Final = DefaultPort(5555)
REST_PORT: Final = DefaultPort(8000)


def chosen_zmq_port(port: int) -> int:
    """The port given, or that of the environment."""
    return Settings.from_env().zmq_port if port is ZMQ_PORT else port


def chosen_rest_port(port: int) -> int:
    """The port given, or that of the environment."""
    return Settings.from_env().rest_port if port is REST_PORT else port


def implementation(name: str | None = None) -> str:
    """The installed transport of a name, by default of `KATO_ZMQ_IMPLEMENTATION`, with aliases resolved.

    `UnknownTransport` lists those that there are.
    """
    return registry().transport(name or Settings.from_env().transport).name
