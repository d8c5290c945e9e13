"""Where an HTTP server is: `http://HOST:PORT` to host and port, the same way for servers and clients."""

from __future__ import annotations

from urllib.parse import urlsplit

from kato_transport.errors import InvalidSetting

DEFAULT_PORT = 80


def host_and_port(endpoint: str) -> tuple[str, int]:
    """The endpoint's two parts; `InvalidSetting` says what is wrong with it."""
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
    return host, DEFAULT_PORT if port is None else port


def endpoint_of(host: str, port: int) -> str:
    """The endpoint with these two parts."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
