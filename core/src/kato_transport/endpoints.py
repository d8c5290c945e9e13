"""Endpoints: those that a person did not write out, built from a transport's scheme, a host and the ports of the settings; and
what an HTTP endpoint says."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from kato_transport.contracts import EventTransport, Transport
from kato_transport.errors import InvalidSetting

HTTP_PORT = 80


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


def http_address(endpoint: str) -> tuple[str, int]:
    """The host and port of an `http://` endpoint; `InvalidSetting` says what is wrong with it."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise InvalidSetting(f"endpoint {endpoint!r}: {exc}") from exc
    if parts.scheme == "https":
        raise InvalidSetting(
            f"endpoint {endpoint!r}: TLS is not spoken here; put a proxy in front of the server and use http://"
        )
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme != "http" or not host or extra:
        raise InvalidSetting(f"endpoint {endpoint!r}: expected http://HOST:PORT")
    return host, HTTP_PORT if port is None else port


def http_endpoint(host: str, port: int) -> str:
    """The endpoint with this host and port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
