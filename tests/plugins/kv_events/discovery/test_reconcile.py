"""What there is to do, from what is followed to what is wanted: no threads, no sockets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kato_transport_kv_events.discovery.reconcile import changes
from kato_transport_kv_events.subscription import Source

sources = st.builds(
    Source,
    pod=st.sampled_from("abc"),
    endpoint=st.sampled_from(["tcp://h:1", "tcp://h:2", "tcp://[::1]:1"]),
    rank=st.integers(0, 2),
    model=st.sampled_from(["", "m"]),
)
lists = st.lists(sources, max_size=8)


def source(pod, endpoint="tcp://h:1", **fields):
    return Source(pod=pod, endpoint=endpoint, **fields)


def test_a_source_that_moved_is_removed_and_added():
    """Under its own name, at the new address."""
    found = changes([source("a")], [source("a", "tcp://elsewhere:1")])
    assert (found.remove, found.add) == ((source("a"),), (source("a", "tcp://elsewhere:1"),))


def test_a_source_that_stays_is_not_touched():
    """Whatever happens around it."""
    found = changes([source("a"), source("b")], [source("c"), source("b")])
    assert (found.remove, found.add) == ((source("a"),), (source("c"),))


@given(lists, lists)
def test_what_is_followed_becomes_what_is_wanted(followed, wanted):
    """By removing first and adding then; and then there is nothing left to do."""
    found = changes(set(followed), wanted)
    after = (set(followed) - set(found.remove)) | set(found.add)
    assert after == set(wanted)
    assert changes(after, wanted) == changes((), ())


@given(lists, lists)
def test_nothing_is_done_that_need_not_be(followed, wanted):
    """Only what is followed and unwanted is removed, only what is wanted and not followed is added, each once."""
    found = changes(set(followed), wanted)
    assert set(found.remove) <= set(followed) - set(wanted)
    assert set(found.add) <= set(wanted) - set(followed)
    assert len(set(found.remove)) == len(found.remove)
    assert len(set(found.add)) == len(found.add)


@given(lists)
def test_sources_are_added_in_the_order_in_which_they_are_wanted(wanted):
    """So that the first of two that are in each other's way is followed."""
    assert changes((), wanted).add == tuple(dict.fromkeys(wanted))
