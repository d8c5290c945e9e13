"""A name's addresses become sources: by the system's resolver, and by one that changes its answers."""

from __future__ import annotations

import pytest

import kato_transport_kv_events.discovery.dns as dns
from kato_transport_kv_events.discovery import Spec, open_discovery
from kato_transport_kv_events.subscription import Source

from .seen import comes_to_follow, running


class Resolver:
    """Answers as it is told to; by default that there is no such name."""

    def __init__(self) -> None:
        self.answer = None
        self.asked = []

    def __call__(self, name, family):
        self.asked.append((name, family))
        if self.answer is None:
            raise OSError(f"{name!r} cannot be resolved")
        return self.answer


def open_dns(resolver, options="interval=0.02"):
    return dns.open_dns(Spec.parse(f"dns:engines?{options}"), resolver)


def test_the_systems_resolver_is_asked(publisher, follow, manager):
    """A source for each address, called by it, with the ports that are given."""
    port = publisher.endpoint.rpartition(":")[2]
    follow(open_discovery(f"dns:localhost?port={port}&family=4"))
    comes_to_follow(manager, **{"127.0.0.1": f"tcp://127.0.0.1:{port}"})


def test_an_ipv6_address_is_bracketed():
    """Where the resolver has any: literals are answered everywhere."""
    with running(open_discovery("dns:::1?port=1&replay=2&model=m")) as told:
        assert told.next() == [Source.parse("::1=tcp://[::1]:1,replay=tcp://[::1]:2,model=m")]


def test_one_family_may_be_asked_for():
    """Pods of dual-stack services have an address of each."""
    resolver = Resolver()
    resolver.answer = ["10.0.0.1"]
    with running(open_dns(resolver, "family=4")) as told:
        told.next()
    assert resolver.asked[0] == ("engines", "4")


def test_addresses_come_and_go(follow, manager):
    """The name is looked up again and again."""
    resolver = Resolver()
    resolver.answer = ["127.0.0.2", "127.0.0.1"]
    follow(open_dns(resolver, "interval=0.02&port=9"))
    comes_to_follow(manager, **{"127.0.0.1": "tcp://127.0.0.1:9", "127.0.0.2": "tcp://127.0.0.2:9"})
    resolver.answer = ["127.0.0.3", "127.0.0.2"]
    comes_to_follow(manager, **{"127.0.0.2": "tcp://127.0.0.2:9", "127.0.0.3": "tcp://127.0.0.3:9"})


def test_a_failing_lookup_keeps_what_was_found():
    """It is told, and over once there is an answer again."""
    resolver = Resolver()
    with running(open_dns(resolver)) as told:
        assert told.next() == ("lookup", "'engines' cannot be resolved")
        resolver.answer = ["10.0.0.1"]
        told.until([Source.parse("10.0.0.1=tcp://10.0.0.1:5557")])
        resolver.answer = None
        while isinstance(said := told.next(), list):
            assert len(said) == 1
        assert said[0] == "lookup"


@pytest.mark.parametrize("name", ["127.0.0.1", "x" * 70, "a..b"], ids=["other family", "too long", "empty label"])
def test_what_the_resolver_refuses_is_told(name):
    """Whichever way it does; these it refuses without asking anybody."""
    with running(open_discovery(f"dns:{name}?family=6")) as told:
        category, reason = told.next()
    assert category == "lookup"
    assert repr(name) in reason
