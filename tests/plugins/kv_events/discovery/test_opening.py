"""Discoveries as people write them, and as plugins bring them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kato_transport as kt
import kato_transport_kv_events
from kato_transport_kv_events.discovery import GROUP, Polled, Spec, Template, open_discovery
from kato_transport_kv_events.subscription import Source

from .seen import comes_to_follow


@pytest.fixture
def plugin():
    """Registers a factory for this test: `plugin(factory, name)`."""
    names = []

    def register(factory, name):
        kt.registry().shelf(GROUP).register(factory, name)
        names.append(name)

    yield register
    for name in names:
        kt.registry().shelf(GROUP).unregister(name)


def test_a_text_has_a_scheme_a_target_and_options():
    """Options may hold what labels hold, and what has a meaning of its own is written as in URLs."""
    spec = Spec.parse("kubernetes:https://[::1]:6443/x?selector=a=b,c in (d)&model=x%26y&topic=")
    assert (spec.scheme, spec.target) == ("kubernetes", "https://[::1]:6443/x")
    assert spec.options == {"selector": "a=b,c in (d)", "model": "x&y", "topic": ""}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected SCHEME:TARGET"),
        ("sources.txt", "expected SCHEME:TARGET"),
        (":x", "expected SCHEME:TARGET"),
        ("file:", "it names no file; expected file:PATH"),
        ("file:x?interval", "'interval' is no option=value"),
        ("file:x?interval=0", "'0' is no number of seconds above 0"),
        ("file:x?interval=nan", "'nan' is no number of seconds above 0"),
        ("file:x?interval=1&interval=2", "interval is given twice"),
        ("file:x?port=1", "there is no option 'port'; there are: interval"),
        ("dns:", "it names no service; expected dns:NAME"),
        ("dns:x?portt=1", "there is no option 'portt'; there are: family, interval, model, policy, port, ranks, replay, topic"),
        ("dns:x?port=http", "'http' is no number"),
        ("dns:x?port=0", "'port' must be >= 1"),
        ("dns:x?port=65536", "'port' must be <= 65535"),
        ("dns:x?port=65535&ranks=2", "port: there are no 2 ports from 65535"),
        ("dns:x?ranks=0", "'ranks' must be >= 1"),
        ("dns:x?replay=5558&ranks=2", "with ranks=2, ports 5557 to 5558 are where they publish, so 5558 to 5559 cannot be"),
        ("dns:x?policy=forget", "policy 'forget'; expected one of: drop, keep"),
        ("dns:x?family=5", "'family' must be in"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_when_it_is_opened(text, says):
    """The whole text, the fault, and what there is instead."""
    with pytest.raises(kt.InvalidSetting) as raised:
        open_discovery(text)
    assert says in str(raised.value)
    assert repr(text) in str(raised.value)


def test_a_scheme_that_nobody_has_is_told_with_those_there_are():
    """And the nearest of them."""
    with pytest.raises(kt.UnknownPlugin, match=r"no discovery named 'dsn'. Did you mean 'dns'\? Installed: dns, .*file"):
        open_discovery("dsn:x")


def test_a_plugin_is_selected_by_its_name(plugin, follow, manager):
    """All that it has to be is a function; `Polled` does the rest."""

    def open_fixed(spec):
        (template,) = spec.settings(Template)
        return Polled(spec.text, 1.0, lambda: [template.source(pod, "127.0.0.1") for pod in spec.target.split(",")])

    plugin(open_fixed, "fixed")
    roster = follow(open_discovery("fixed:a,b?port=9"))
    comes_to_follow(manager, a="tcp://127.0.0.1:9", b="tcp://127.0.0.1:9")
    assert roster.stats().name == "fixed:a,b?port=9"


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        (object(), "is no function that makes a discovery of a Spec"),
        (lambda spec: spec, "is no Discovery: it has to have name, run and close"),
    ],
)
def test_a_plugin_that_is_none_is_told(plugin, factory, says):
    """With what it should be."""
    plugin(factory, "odd")
    with pytest.raises(kt.PluginBroken, match=says):
        open_discovery("odd:")


def test_a_template_makes_sources_of_addresses():
    """IPv6 addresses in brackets; its model is for all, where it has one."""
    template = Template(replay=5600, ranks=2, topic="kv@", policy="keep")
    assert template.source("p", "fd00::7", "m") == Source.parse(
        "p=tcp://[fd00::7]:5557,replay=tcp://[fd00::7]:5600,ranks=2,topic=kv@,policy=keep,model=m"
    )
    assert Template(model="all").source("p", "10.0.0.1", "m") == Source.parse("p=tcp://10.0.0.1:5557,model=all")


def test_the_names_are_there_where_users_look():
    """And cost nothing before they are used."""
    assert kato_transport_kv_events.open_discovery is open_discovery
    code = "import sys, kato_transport_kv_events as k; assert 'kato_transport_kv_events.discovery' not in sys.modules; k.Roster"
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
