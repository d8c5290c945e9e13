"""`dns:NAME`: a source for each address of a name, as headless services have them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Final

from attrs import field, frozen, validators

from kato_transport_kv_events.discovery.polled import Polled
from kato_transport_kv_events.discovery.spec import Spec, seconds
from kato_transport_kv_events.discovery.template import Template
from kato_transport_kv_events.subscription.source import Source

FAMILIES: Final = {"any": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}

Resolve = Callable[[str, str], Iterable[str]]
"""A name and a family to addresses; `OSError` where there are none."""


@frozen(kw_only=True)
class Resolving:
    interval: float = field(default=10.0, converter=seconds)
    """Seconds between two lookups."""
    family: str = field(default="any", validator=validators.in_(FAMILIES))
    """Addresses of one family only: a pod of a dual-stack service has one of each, and would be followed twice."""


def addresses(name: str, family: str) -> Iterable[str]:
    """What the system's resolver says, A and AAAA records."""
    try:
        found = socket.getaddrinfo(name, None, FAMILIES[family], socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise OSError(f"{name!r} is no host name: {exc}") from exc
    except OSError as exc:
        raise OSError(f"{name!r} cannot be resolved: {exc}") from exc
    return {str(address[0]) for *_, address in found}


def open_dns(spec: Spec, resolve: Resolve = addresses) -> Polled:
    if not spec.target:
        raise spec.wrong("it names no service; expected dns:NAME")
    resolving, template = spec.settings(Resolving, Template)

    def look() -> list[Source]:
        return [template.source(address, address) for address in sorted(resolve(spec.target, resolving.family))]

    return Polled(spec.text, resolving.interval, look)
