"""What the two clients do beside calling methods: time running out, nobody there, state and statistics."""

from __future__ import annotations

import threading
import time

import pytest
import zmq

import kato_transport as kt
from kato_transport.compat import ImprovedZMQClient, ZMQClient

BOTH = pytest.mark.parametrize(("client_class", "kind"), [(ZMQClient, "basic"), (ImprovedZMQClient, "improved")])
STATS = {
    "identity",
    "connected",
    "total_requests",
    "successful_requests",
    "failed_requests",
    "success_rate",
    "reconnections",
}


def test_the_constructors_take_what_the_originals_took():
    """By position, with the same defaults; nothing is opened yet."""
    basic, improved = ZMQClient(), ImprovedZMQClient("h", 1, 2, 3, 4)
    assert (basic.host, basic.port, basic.timeout, basic.is_connected()) == ("localhost", 5555, 5000, False)
    assert (improved.host, improved.port, improved.timeout, improved.heartbeat_interval, improved.max_retries) == (
        "h",
        1,
        2,
        3,
        4,
    )
    assert not improved.is_connected()


def test_a_basic_call_that_runs_out_of_time_raises_zmq_again(serve, double, observation):
    """As a REQ socket's own time limit did."""
    with ZMQClient("127.0.0.1", serve("basic").port) as client:
        client.get_name()
        client.timeout = 100
        double.hold.clear()
        with pytest.raises(zmq.Again) as raised:
            client.observe(observation("a"))
        double.hold.set()
    assert isinstance(raised.value.__cause__, kt.CallTimeout)


def test_an_improved_call_that_runs_out_of_time_raises_timeout_error(serve, double, observation):
    """And one of this library's errors in the same object."""
    with ImprovedZMQClient("127.0.0.1", serve().port) as client:
        client.get_name()
        client.timeout = 100
        double.hold.clear()
        with pytest.raises(TimeoutError) as raised:
            client.observe(observation("a"))
        double.hold.set()
    assert isinstance(raised.value, kt.CallTimeout)


def test_call_takes_a_time_limit_of_its_own(serve, double, observation):
    """In milliseconds, in place of the client's."""
    double.hold.clear()
    with ImprovedZMQClient("127.0.0.1", serve().port, timeout=60_000) as client:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            client.call("observe", observation("a"), timeout=50)
        assert time.monotonic() - started < 5
        double.hold.set()


def test_an_old_server_runs_an_observation_that_ran_out_of_time_once(serve, double, observation):
    """It knows no request it has seen before, so nothing but asking once helps."""
    with ImprovedZMQClient("127.0.0.1", serve("old improved").port, max_retries=3) as client:
        client.get_name()
        double.hold.clear()
        with pytest.raises(TimeoutError):
            client.call("observe", observation("a"), timeout=300)
        double.hold.set()
        assert client.get_name()["message"] == "P1"
    assert len(double.observed) == 1


def test_a_late_answer_of_an_old_server_goes_to_nobody(serve, double, observation):
    """Nothing in it tells whose it is."""
    with ImprovedZMQClient("127.0.0.1", serve("old improved").port) as client:
        client.get_name()
        double.hold.clear()
        with pytest.raises(TimeoutError):
            client.call("observe", observation("a"), timeout=300)
        double.hold.set()
        assert client.get_gene("persistence") == 5
        assert client.get_gene("name") == "P1"


def test_the_heartbeat_answer_of_an_old_server_goes_to_no_call(serve, eventually, monkeypatch):
    """It says `ok` and no type; the original's client took it for the next call's answer."""
    monkeypatch.setenv("KATO_TRANSPORT_LIVENESS", "50")  # a second in all, for a busy machine
    server = serve("old improved")
    with ImprovedZMQClient("127.0.0.1", server.port, heartbeat_interval=20) as client:
        client.get_name()
        eventually(lambda: server.heartbeats > 2)
        assert [client.get_gene("persistence") for _ in range(20)] == [5] * 20


def test_nobody_there_is_a_connection_error_as_well(nowhere):
    """The original promised one, and raised the other."""
    with ImprovedZMQClient("127.0.0.1", nowhere, timeout=100) as client, pytest.raises(ConnectionError):
        client.get_name()


@BOTH
def test_a_client_finds_a_server_that_came_back(client_class, kind, serve):
    """With no more to be done about it than to call again."""
    server = serve(kind)
    with client_class("127.0.0.1", server.port, timeout=500) as client:
        assert client.ping()
        server.close()
        assert not client.ping()
        assert not client.is_connected()
        serve(kind, server.endpoint)
        assert client.call("get_name", timeout=5000)["message"] == "P1"
        assert client.is_connected()


@BOTH
def test_a_closed_client_stays_closed(client_class, kind, serve):
    """Closing again does nothing, calling is an error."""
    client = client_class("127.0.0.1", serve(kind).port)
    client.get_name()
    client.close()
    client.close()
    assert not client.is_connected()
    with pytest.raises(kt.ClientClosed):
        client.get_name()


def test_reset_connection_connects_anew(serve):
    """The call after it is answered."""
    with ZMQClient("127.0.0.1", serve("basic").port) as client:
        client.get_name()
        client.reset_connection()
        assert client.is_connected()
        assert client.get_name()["message"] == "P1"


def test_connect_and_disconnect_are_what_they_say(serve):
    """A call connects by itself."""
    with ImprovedZMQClient("127.0.0.1", serve().port) as client:
        assert client.is_connected()
        client.connect()
        client.disconnect()
        assert not client.is_connected()
        assert client.get_name()["message"] == "P1"
        assert client.is_connected()


def test_reset_connection_cuts_nobody_off(serve, double, observation, eventually):
    """A call under way in another thread gets its answer."""
    double.hold.clear()
    answers = []
    with ZMQClient("127.0.0.1", serve("improved").port) as client:
        thread = threading.Thread(target=lambda: answers.append(client.observe(observation("a"))))
        thread.start()
        eventually(lambda: double.observed)
        client.reset_connection()
        double.hold.set()
        thread.join()
    assert answers[0]["message"] == "observed"


def test_statistics_start_at_nothing():
    """A rate of no requests is zero."""
    stats = ImprovedZMQClient().get_stats()
    assert set(stats) == STATS
    assert len(stats["identity"]) == 36
    assert [stats[key] for key in sorted(STATS - {"identity"})] == [False, 0, 0, 0.0, 0, 0]


def test_statistics_count_every_request_by_its_outcome(serve, double, observation):
    """An error answer has failed, and so has one that did not come."""
    with ImprovedZMQClient("127.0.0.1", serve().port, timeout=2000) as client:
        identity = client.get_stats()["identity"]
        client.get_name()
        client.get_gene("persistence")
        with pytest.raises(Exception, match="Server error"):
            client.get_model("nose")
        double.hold.clear()
        with pytest.raises(TimeoutError):
            client.call("observe", observation("a"), timeout=50)
        double.hold.set()
        assert client.get_stats() == {
            "identity": identity,
            "connected": True,
            "total_requests": 4,
            "successful_requests": 2,
            "failed_requests": 2,
            "success_rate": 0.5,
            "reconnections": 0,
        }


def test_statistics_count_reconnections(serve):
    """A server that was lost, and found again."""
    server = serve()
    with ImprovedZMQClient("127.0.0.1", server.port) as client:
        client.get_name()
        server.close()
        assert not client.ping()
        serve("improved", server.endpoint)
        client.get_name()
        assert client.get_stats()["reconnections"] == 1


def test_one_client_serves_many_threads(serve, in_threads):
    """Each call gets its own answer."""
    with ImprovedZMQClient("127.0.0.1", serve().port) as client:
        assert in_threads(16, lambda: [client.get_gene("persistence") for _ in range(10)]) == [[5] * 10] * 16
        assert client.get_stats()["successful_requests"] == 160
