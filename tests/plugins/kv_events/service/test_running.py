"""`IndexService`: all of it in one process, and nothing of it left."""

from __future__ import annotations

import json
import threading
import urllib.request

import pytest

import kato_transport as kt
from kato_transport.testing.waiting import until
from kato_transport_kv_events.discovery import open_discovery
from kato_transport_kv_events.service.running import IndexService
from kato_transport_kv_events.stream import State
from kato_transport_kv_events.subscription import Source
from kato_transport_kv_events.testing import stored


def source(publisher, pod="a"):
    return Source(pod=pod, endpoint=publisher.endpoint, replay_endpoint=publisher.replay_endpoint)


def test_what_engines_tell_is_answered_over_both(engine):
    """As bound, so that a port of 0 is a real one."""
    publisher = engine()
    publisher.publish(stored(1, token_ids=range(4), block_size=4))
    with IndexService() as service:
        service.follow(source(publisher))
        http, requests = service.serve_http("http://127.0.0.1:0"), service.serve_requests("tcp://127.0.0.1:0")
        until(lambda: service.manager.state("a") is State.EXACT, "the source did not become exact")
        with kt.connect(requests) as client:
            assert client.call("kv.match", {"token_ids": [0, 1, 2, 3]})["pods"][0]["pod"] == "a"
        with urllib.request.urlopen(f"{http}/kv/sources", timeout=10) as answer:
            assert json.load(answer)["sources"][0]["state"] == "exact"


def test_what_is_found_is_followed(engine, tmp_path):
    """By a discovery, beside what was added by hand."""
    file = tmp_path / "sources"
    file.write_text(f"found={engine().endpoint}")
    with IndexService() as service:
        service.follow(source(engine(), "added"))
        service.discover(open_discovery(f"file:{file}?interval=0.05"))
        until(lambda: [stats.pod for stats in service.manager.stats()] == ["added", "found"], "the source was not found")


def test_what_cannot_be_served_leaves_the_rest_as_it_was(engine):
    """A port that is taken, a transport that is not there, a source that is followed already."""
    with IndexService() as service:
        service.follow(source(engine()))
        http = service.serve_http("http://127.0.0.1:0")
        with pytest.raises(kt.BindFailed):
            service.serve_http(http)
        with pytest.raises(kt.UnknownTransport):
            service.serve_requests("tcp://127.0.0.1:0", "carrier")
        with pytest.raises(kt.InvalidSetting):
            service.follow(source(engine()))
        with urllib.request.urlopen(f"{http}/readyz", timeout=10) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("interval_s", [-1.0, float("nan"), float("inf"), 1e300])
def test_an_index_is_kept_at_times_that_can_be(tmp_path, interval_s):
    """What nobody could wait for is refused, and nothing is written."""
    with IndexService(snapshot=tmp_path / "index") as service, pytest.raises(kt.InvalidSetting, match="from 0 on"):
        service.keep(interval_s)
    assert not (tmp_path / "index").exists()


def test_nothing_is_left_of_it(engine):
    """No thread, and closing twice is no mistake."""
    before = set(threading.enumerate())
    service = IndexService()
    service.follow(source(engine(replay_endpoint="tcp://127.0.0.1:0")))
    service.serve_http("http://127.0.0.1:0")
    service.serve_requests("tcp://127.0.0.1:0")
    service.close()
    service.close()
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert left <= {"kato-kv-publisher"}
