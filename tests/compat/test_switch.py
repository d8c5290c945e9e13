"""The switch, the server and the gateway: chosen by the environment, and by nothing that was read too early."""

from __future__ import annotations

import inspect
import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

import kato_transport as kt
from kato_transport import compat
from kato_transport.compat import (
    ImprovedZMQClient,
    RestGateway,
    ZMQClient,
    ZMQClientFactory,
    ZMQConnectionPool,
    get_zmq_client,
    get_zmq_implementation,
    get_zmq_server,
)


def get(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def gateway(made):
    """A gateway that has started, on any free port."""

    def gateway(**options):
        gateway = RestGateway(port=0, zmq_host="127.0.0.1", **options)
        gateway.start()
        made.callback(gateway.stop)
        return f"http://127.0.0.1:{gateway.port}"

    return gateway


# --- which implementation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"), [("", "improved"), ("improved", "improved"), ("basic", "basic"), ("legacy", "basic"), ("rest", "rest")]
)
def test_the_implementation_is_that_of_the_environment(value, name, monkeypatch):
    """Improved unless it says otherwise; legacy is an alias."""
    monkeypatch.setenv("KATO_ZMQ_IMPLEMENTATION", value)
    assert get_zmq_implementation() == name


def test_an_unknown_implementation_is_an_error_that_lists_the_others(monkeypatch):
    """Instead of a quiet default."""
    monkeypatch.setenv("KATO_ZMQ_IMPLEMENTATION", "improve")
    with pytest.raises(kt.UnknownTransport, match=r"Did you mean 'improved'\? Installed: basic, improved"):
        get_zmq_implementation()


@pytest.mark.parametrize(("name", "client_class"), [("legacy", ZMQClient), ("improved", ImprovedZMQClient)])
def test_get_zmq_client_gives_a_client_of_the_implementation(name, client_class, serve, monkeypatch):
    """With host, port and time limit in milliseconds."""
    monkeypatch.setenv("KATO_ZMQ_IMPLEMENTATION", name)
    with get_zmq_client("127.0.0.1", serve(name).port, 4000) as client:
        assert type(client) is client_class
        assert client.timeout == 4000
        assert client.get_name()["message"] == "P1"


def test_any_installed_transport_can_be_the_implementation(serve, monkeypatch):
    """Here the one that speaks HTTP: the same client, over another wire."""
    monkeypatch.setenv("KATO_ZMQ_IMPLEMENTATION", "rest")
    with get_zmq_client("127.0.0.1", serve("rest", "http://127.0.0.1:0").port) as client:
        assert client.get_gene("persistence") == 5
        assert client.get_short_term_memory() == []


def test_the_factory_makes_clients_and_pools(serve, made):
    """Of an implementation by name, too."""
    port = serve().port
    for name, client_class in ((None, ImprovedZMQClient), ("legacy", ZMQClient), ("improved", ImprovedZMQClient)):
        client = made.enter_context(ZMQClientFactory.create_client("127.0.0.1", port, force_implementation=name))
        assert type(client) is client_class
        assert client.ping()
    pool = ZMQClientFactory.create_pooled_client("127.0.0.1", port)
    made.callback(pool.shutdown)
    assert type(pool) is ZMQConnectionPool
    assert pool.execute("ping")


def test_the_factory_refuses_an_implementation_that_is_not_there():
    """By a ValueError, as before."""
    with pytest.raises(ValueError, match="Invalid implementation: no transport named 'nose'"):
        ZMQClientFactory.create_client(force_implementation="nose")


def test_a_port_left_out_is_that_of_the_environment(serve, monkeypatch):
    """And 5555 where that says nothing; a port that was given is kept, even that number."""
    assert (get_zmq_client().port, RestGateway().zmq_port, RestGateway().port) == (5555, 5555, 8000)
    monkeypatch.setenv("ZMQ_PORT", "6001")
    monkeypatch.setenv("REST_PORT", "6002")
    assert (get_zmq_client().port, RestGateway().zmq_port, RestGateway().port) == (6001, 6001, 6002)
    assert get_zmq_server(object()).port == 6001
    assert RestGateway(8000, "localhost", 5555).zmq_port == 5555
    assert inspect.signature(RestGateway).parameters["zmq_port"].default == 5555


# --- server -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "client_class"), [("legacy", ZMQClient), ("improved", ImprovedZMQClient)])
def test_the_server_serves_until_it_is_stopped(name, client_class, double, serve, monkeypatch, eventually):
    """`start` blocks, `stop` comes from another thread, and the port is free after it."""
    monkeypatch.setenv("KATO_ZMQ_IMPLEMENTATION", name)
    server = get_zmq_server(double, 0)
    thread = threading.Thread(target=server.start)
    thread.start()
    eventually(lambda: server.running)
    with client_class("127.0.0.1", server.port) as client:
        assert client.get_gene("persistence") == 5
    server.stop()
    server.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert not server.running
    assert serve("improved", f"tcp://127.0.0.1:{server.port}").port == server.port


def test_a_signal_handler_may_stop_the_server(double):
    """Which runs in the middle of `start`, or before it."""
    server = get_zmq_server(double, 0)
    before = signal.signal(signal.SIGALRM, lambda number, frame: server.stop())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        server.start()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not server.running


# --- gateway ------------------------------------------------------------------------------------------------------------


def test_the_gateway_goes_where_it_is_told(serve, gateway, monkeypatch):
    """Whatever the environment says."""
    monkeypatch.setenv("ZMQ_PORT", "1")
    url = gateway(zmq_port=serve().port)
    assert get(f"{url}/p1/gene/persistence")["message"] == 5


def test_the_gateway_starts_before_the_server_it_stands_before(gateway, nowhere):
    """And says 503 until then."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        get(f"{gateway(zmq_port=nowhere)}/p1/ping")
    with raised.value as answer:
        assert answer.code == 503


def test_a_stopped_gateway_is_gone(serve, made):
    """Starting and stopping it twice does no harm, and no thread is left."""
    gateway = RestGateway(0, "127.0.0.1", serve().port)
    before = threading.active_count()
    gateway.start()
    port = gateway.port
    gateway.start()
    assert gateway.port == port
    gateway.stop()
    gateway.stop()
    assert threading.active_count() == before
    with pytest.raises(urllib.error.URLError):
        get(f"http://127.0.0.1:{port}/kato-api/ping")


def test_without_the_rest_plugin_the_gateway_says_how_to_get_it(monkeypatch):
    """When it is started, not before."""
    gateway = RestGateway(port=0)
    installed = kt.registry()

    class WithoutRest:
        def transport(self, name):
            if name == "rest":
                raise kt.UnknownTransport(name, ["basic", "improved"])
            return installed.transport(name)

    monkeypatch.setattr("kato_transport.compat.gateway.registry", WithoutRest)
    with pytest.raises(kt.ConfigurationError, match="pip install kato-transport-rest"):
        gateway.start()


# --- import -------------------------------------------------------------------------------------------------------------


def test_importing_needs_no_pyzmq_and_reads_no_environment():
    """An environment full of mistakes is nobody's business until something is made."""
    code = (
        "import sys, threading; sys.modules['zmq'] = None\n"
        "import kato_transport.compat\n"
        "assert threading.active_count() == 1\n"
        "kato_transport.compat.ZMQClient(); kato_transport.compat.ImprovedZMQClient()\n"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env={"ZMQ_PORT": "rubbish"}, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_public_is_listed_in_order():
    """And is there."""
    assert sorted(compat.__all__) == compat.__all__
    assert all(hasattr(compat, name) for name in compat.__all__)
