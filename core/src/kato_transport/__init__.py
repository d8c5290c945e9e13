"""Calls and event streams over exchangeable transports; see `serve`, `connect`, `aconnect` and `subscribe`."""

from __future__ import annotations

from typing import Any

from kato_transport.api import Fanout, RunningServer, aconnect, connect, gateway, serve, subscribe
from kato_transport.client import AsyncClient, Client
from kato_transport.contracts import ClientOptions, Codec, EventHandler, ServerOptions, Service
from kato_transport.errors import (
    BindFailed,
    CallTimeout,
    ClientClosed,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    DecodeError,
    InvalidSetting,
    LocalProtocolError,
    MessageTooLarge,
    PluginBroken,
    PluginDisabled,
    ProtocolError,
    RemoteError,
    RemoteProtocolError,
    ServerBusy,
    ServiceError,
    TransportError,
    UnknownPlugin,
    UnknownTransport,
    UnsupportedCapability,
)
from kato_transport.hookspecs import hookimpl
from kato_transport.lanes import inline
from kato_transport.model import Capability, ErrorCode, Request, Response
from kato_transport.plugins import registry
from kato_transport.processors import Processor, ProcessorFactory, ProcessorSettings

__all__ = [
    "AsyncClient",
    "BindFailed",
    "CallTimeout",
    "Capability",
    "Client",
    "ClientClosed",
    "ClientOptions",
    "Codec",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectionLost",
    "DeadlineExceeded",
    "DecodeError",
    "ErrorCode",
    "EventHandler",
    "Fanout",
    "InvalidSetting",
    "LocalProtocolError",
    "MessageTooLarge",
    "PluginBroken",
    "PluginDisabled",
    "Processor",
    "ProcessorFactory",
    "ProcessorSettings",
    "ProtocolError",
    "RemoteError",
    "RemoteProtocolError",
    "Request",
    "Response",
    "RunningServer",
    "ServerBusy",
    "ServerOptions",
    "Service",
    "ServiceError",
    "TransportError",
    "UnknownPlugin",
    "UnknownTransport",
    "UnsupportedCapability",
    "aconnect",
    "connect",
    "gateway",
    "hookimpl",
    "inline",
    "registry",
    "serve",
    "subscribe",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("kato-transport-core")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
