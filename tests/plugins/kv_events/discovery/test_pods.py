"""Pods and what is told of them become sources: no sockets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kato_transport_kv_events.discovery import Template
from kato_transport_kv_events.discovery.kubernetes.errors import ApiError, Gone
from kato_transport_kv_events.discovery.kubernetes.objects import Pod, decoded
from kato_transport_kv_events.discovery.kubernetes.pods import Pods
from kato_transport_kv_events.subscription import Source

from .api_server import failure, line, pod


def pods(model_label="model", **fields):
    return Pods(Template(**fields), model_label)


def parsed(made):
    return decoded(json.dumps(made).encode(), Pod)


def test_a_pod_that_serves_is_a_source():
    """Called as Kubernetes users call it, at its address."""
    found = pods(replay=5558)
    found.listed([parsed(pod("engine-0", "10.0.0.7", namespace="prod", labels={"model": "m"}))], "7")
    assert found.sources() == [
        Source.parse("prod/engine-0=tcp://10.0.0.7:5557,replay=tcp://10.0.0.7:5558,model=m"),
    ]
    assert found.version == "7"


@pytest.mark.parametrize(
    "fields",
    [{"ready": False}, {"phase": "Pending"}, {"phase": "Succeeded"}, {"ip": ""}, {"deleting": True}],
    ids=["not ready", "not started", "ended", "no address", "about to end"],
)
def test_a_pod_that_does_not_serve_is_none(fields):
    """And is one no more when it comes to that."""
    found = pods()
    found.listed([parsed(pod("a", **fields))], "1")
    assert found.sources() == []
    assert found.changed(line("MODIFIED", pod("a")))
    assert len(found.sources()) == 1
    assert found.changed(line("MODIFIED", pod("a", **fields)))
    assert found.sources() == []


def test_an_ipv6_address_is_bracketed():
    """For both sockets."""
    found = pods(replay=2, port=1)
    found.listed([parsed(pod("a", "fd00::7"))], "1")
    assert found.sources() == [Source.parse("default/a=tcp://[fd00::7]:1,replay=tcp://[fd00::7]:2")]


def test_a_model_whose_name_no_label_can_hold_is_an_annotation():
    """The label comes first, and what the template says before both."""
    named = parsed(pod("a", labels={}, annotations={"model": "org/m"}))
    both = parsed(pod("a", labels={"model": "m"}, annotations={"model": "org/m"}))
    for one, fields, model in ((named, {}, "org/m"), (both, {}, "m"), (both, {"model": "mine"}, "mine")):
        found = pods(**fields)
        found.listed([one], "1")
        assert found.sources()[0].model == model


def test_a_new_address_is_a_change_and_a_heartbeat_is_none():
    """Kubelets change pods all the time."""
    found = pods()
    found.listed([parsed(pod("a"))], "1")
    assert not found.changed(line("MODIFIED", pod("a", annotations={"seen": "now"})))
    assert found.changed(line("MODIFIED", pod("a", "10.0.0.2")))
    assert found.sources()[0].endpoint == "tcp://10.0.0.2:5557"


def test_every_event_carries_the_version_to_go_on_from():
    """Bookmarks carry nothing else, and are told of as signs of life."""
    found = pods()
    found.listed([], "1")
    made = pod("a")
    made["metadata"]["resourceVersion"] = "2"
    found.changed(line("ADDED", made))
    assert found.version == "2"
    assert found.changed(line("BOOKMARK", {"metadata": {"resourceVersion": "9"}}))
    assert found.version == "9"


def test_what_ends_a_watch_is_told_apart():
    """That the API has forgotten happens; anything else is an error."""
    with pytest.raises(Gone):
        pods().changed(line("ERROR", failure(410, "too old resource version")))
    with pytest.raises(ApiError, match="the watch ended: etcd has gone") as raised:
        pods().changed(line("ERROR", failure(500, "etcd has gone")))
    assert not isinstance(raised.value, Gone)


def test_events_of_a_kind_unknown_are_left_alone():
    """Whatever is in them."""
    assert not pods().changed(line("TO_COME", 7))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"nonsense\n",
        b"[]\n",
        b'{"type":"ADDED"}\n',
        line("ADDED", 7),
        line("ADDED", {"metadata": {"name": 7}}),
        b"\xff\n",
    ],
)
def test_garbage_is_an_error_of_the_api(garbage):
    """Of no other type."""
    with pytest.raises(ApiError):
        pods().changed(garbage)


made = st.builds(
    pod,
    st.sampled_from("abc"),
    st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", ""]),
    namespace=st.sampled_from(["x", "y"]),
    ready=st.booleans(),
    deleting=st.booleans(),
)
events = st.lists(st.tuples(st.sampled_from(["ADDED", "MODIFIED", "DELETED"]), made), max_size=12)


@given(st.lists(made, max_size=4), events)
def test_the_sources_are_the_pods_that_serve(listed, told):
    """After any list and any events, and whoever is told only of changes misses none."""
    found, plain = pods(), {}
    for one in listed:
        plain[one["metadata"]["namespace"], one["metadata"]["name"]] = one
    found.listed([parsed(one) for one in plain.values()], "1")
    known = found.sources()
    for kind, one in told:
        key = one["metadata"]["namespace"], one["metadata"]["name"]
        if kind == "DELETED":
            plain.pop(key, None)
        else:
            plain[key] = one
        if found.changed(line(kind, one)):
            known = found.sources()
    serving = [one for one in plain.values() if parsed(one).serves]
    assert {source.pod for source in known} == {"/".join((o["metadata"]["namespace"], o["metadata"]["name"])) for o in serving}
    assert known == found.sources()
