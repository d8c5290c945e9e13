"""Sources as a person writes them."""

from __future__ import annotations

import pytest

import kato_transport as kt
from kato_transport_kv_events.stream import Policy
from kato_transport_kv_events.subscription import Source


def test_a_pod_and_an_endpoint_are_enough():
    """The rest has defaults."""
    assert Source.parse("a=tcp://h:5557") == Source(pod="a", endpoint="tcp://h:5557")


def test_everything_can_be_said():
    """In any order."""
    text = "pod-1=tcp://[::1]:5557,model=org/m,ranks=3,topic=kv@1.2.3.4@m=x,replay=tcp://[::1]:5600,rank=2,policy=keep,bind=no"
    assert Source.parse(text) == Source(
        pod="pod-1",
        endpoint="tcp://[::1]:5557",
        replay_endpoint="tcp://[::1]:5600",
        model="org/m",
        topic="kv@1.2.3.4@m=x",
        rank=2,
        ranks=3,
        policy=Policy.KEEP,
        bind=False,
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "does not begin with POD=ENDPOINT"),
        ("tcp://h:1", "does not begin with POD=ENDPOINT"),
        ("=tcp://h:1", "does not begin with POD=ENDPOINT"),
        ("a=h:1", "does not begin with POD=ENDPOINT"),
        ("a=tcp://h:1,replya=tcp://h:2", "'replya=tcp://h:2' is none of: replay=, model="),
        ("a=tcp://h:1,model", "'model' is none of"),
        ("a=tcp://h:1,", "'' is none of"),
        ("a=tcp://h:1,rank=1,rank=2", "rank is given twice"),
        ("a=tcp://h:1,rank=-1", "rank: '-1' is no number"),
        ("a=tcp://h:1,ranks=0", "ranks"),
        ("a=tcp://h:1,policy=forget", "policy 'forget'; expected one of: drop, keep"),
        ("a=tcp://h:1,bind=perhaps", "bind 'perhaps'; expected yes or no"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_expected(text, says):
    """The whole text, the fault, and the form."""
    with pytest.raises(kt.InvalidSetting) as raised:
        Source.parse(text)
    assert says in str(raised.value)
    assert repr(text) in str(raised.value)
    assert "expected POD=ENDPOINT[,replay=ENDPOINT]" in str(raised.value)


def test_ranks_are_a_port_apart():
    """For both sockets, counted from the rank and the ports that are given."""
    source = Source.parse("a=tcp://h:5557,replay=tcp://h:6557,rank=4,ranks=3,model=m")
    assert [(part.rank, part.endpoint, part.replay_endpoint, part.model, part.ranks) for part in source.parts()] == [
        (4, "tcp://h:5557", "tcp://h:6557", "m", 1),
        (5, "tcp://h:5558", "tcp://h:6558", "m", 1),
        (6, "tcp://h:5559", "tcp://h:6559", "m", 1),
    ]


def test_ranks_need_a_port_to_count_from():
    """A path has none, and port 0 would be another one for each."""
    for text in ("a=ipc:///tmp/x,ranks=2", "a=tcp://*:0,ranks=2", "a=tcp://h:1,replay=tcp://h:0,ranks=2"):
        with pytest.raises(kt.InvalidSetting, match="ranks need a port to count from"):
            Source.parse(text).parts()


@pytest.mark.parametrize(
    ("endpoint", "binds"), [("tcp://*:5557", True), ("tcp://[::]:5557", True), ("tcp://h:5557", False), ("ipc:///tmp/x", False)]
)
def test_an_endpoint_of_any_address_is_waited_at(endpoint, binds):
    """Nobody could connect to it."""
    assert Source.parse(f"a={endpoint}").bind is binds


def test_a_source_is_checked_however_it_is_made():
    """The same faults, as attrs tells them."""
    with pytest.raises(ValueError, match="pod"):
        Source(pod="", endpoint="tcp://h:1")
    with pytest.raises(kt.InvalidSetting, match="policy"):
        Source(pod="a", endpoint="tcp://h:1", policy="forget")
