"""The plugin's settings, and what it registers."""

import subprocess
import sys

import pytest

import kato_transport as kt
from kato_transport.settings import describe, load
from kato_transport_rest import RestSettings, RestTransport


def test_the_plugin_registers_its_transport_and_settings():
    """Under the name people type."""
    (transport,) = kt.registry().transports_of("rest")
    assert isinstance(transport, RestTransport)
    assert (transport.name, transport.schemes, transport.capabilities) == ("rest", ("http",), kt.Capability.REQUEST_REPLY)
    assert RestSettings in kt.registry().settings()


def test_by_default_nothing_is_strict_and_no_origin_let_in():
    """As the fixtures of the original need it."""
    settings = load(RestSettings, {})
    assert settings.strict_processor_id is False
    assert settings.cors_origins == ()


def test_the_settings_are_read_and_described():
    """For `kato-transport config`."""
    env = {"KATO_REST_STRICT_PROCESSOR_ID": "yes", "KATO_TRANSPORT_REST_CORS_ORIGINS": "https://a.example , *"}
    rows = {row.variable: (row.value, row.origin) for row in describe(RestSettings, env)}
    assert rows == {
        "KATO_REST_STRICT_PROCESSOR_ID": (True, "environment"),
        "KATO_TRANSPORT_REST_CORS_ORIGINS": (("https://a.example", "*"), "environment"),
    }


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KATO_REST_STRICT_PROCESSOR_ID", "perhaps"),
        ("KATO_TRANSPORT_REST_CORS_ORIGINS", "example.org"),
        ("KATO_TRANSPORT_REST_CORS_ORIGINS", "https://a.example/path"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(monkeypatch, variable, value):
    """Before anything is bound."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(kt.InvalidSetting, match=variable):
        kt.serve({}, "http://127.0.0.1:0", transport="rest")


def test_a_client_needs_no_server():
    """Neither httptools nor starlette is imported for one."""
    code = (
        "import sys, kato_transport as kt; kt.connect('http://127.0.0.1:1', transport='rest').close();"
        "print([name for name in sys.modules if name.split('.')[0] in ('httptools', 'starlette', 'asyncio.events')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"
