"""Endpoints a person did not write out: built from a transport's scheme, a host and the ports of the settings."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from kato_transport.contracts import EventTransport, Transport
from kato_transport.errors import InvalidSetting


def default_endpoint(transport: Transport | EventTransport, host: str, zmq_port: int, rest_port: int) -> str:
    """Where a transport is served unless an endpoint is given; `InvalidSetting` for one that has no ports."""
    host = f"[{host}]" if ":" in host else host
    match transport.schemes[0]:
        case "tcp":
            return f"tcp://{host}:{zmq_port}"
        case "http":
            return f"http://{host}:{rest_port}"
        case scheme:
            raise InvalidSetting(f"transport {transport.name!r} needs an endpoint: {scheme}://…")


def scratch_endpoint(transport: Transport | EventTransport, folder: Path) -> str:
    """A fresh endpoint on this machine: any free port, or else a new path in `folder`."""
    match transport.schemes[0]:
        case "memory":
            return "memory://"
        case "tcp" | "http":
            return default_endpoint(transport, "127.0.0.1", 0, 0)
        case scheme:
            return f"{scheme}://{folder}/{uuid4().hex[:8]}"
