"""The gateway's own settings, beside those of core."""

from __future__ import annotations

from typing import Any

import environ

from kato_transport.settings import flag, var


def origins(value: Any) -> tuple[str, ...]:
    """Origins from a comma list: `*`, or scheme and host as a browser sends them."""
    found = tuple(word.strip() for word in str(value).split(",") if word.strip())
    for origin in found:
        scheme, separator, host = origin.partition("://")
        if origin != "*" and not (scheme and separator and host and "/" not in host):
            raise ValueError(f"{origin!r} is no origin; expected * or such as https://example.org")
    return found


@environ.config(prefix="", frozen=True)
class RestSettings:
    """Read from the environment when a server is started."""

    strict_processor_id: bool = var(
        "KATO_REST_STRICT_PROCESSOR_ID",
        False,
        flag,
        "Refuse processor ids in REST paths that the server does not have, even where it has one processor only.",
    )
    cors_origins: tuple[str, ...] = var(
        "KATO_TRANSPORT_REST_CORS_ORIGINS",
        "",
        origins,
        "Web origins whose pages may use the gateway, separated by commas; *: all; empty: none.",
    )
