"""What the live view shows, without a terminal."""

from __future__ import annotations

import pytest

from kato_transport_kv_events.cli.view import HEADER, Speed, View, duration, size
from kato_transport_kv_events.subscription import KVEventManager, Source


def test_a_speed_is_taken_over_the_last_looks():
    """Not over the whole time, and not from one look to the next."""
    speed = Speed()
    assert speed.at(10.0, 500) == 0
    assert speed.at(10.5, 600) == 200
    assert [speed.at(11 + look / 2, 600) for look in range(4)][-1] == 0


def test_every_source_is_a_row_and_gone_ones_are_forgotten():
    """As many cells as there are headings."""
    with KVEventManager() as manager:
        for pod in ("a", "b"):
            manager.add_source(Source(pod=pod, endpoint="tcp://127.0.0.1:9"))
        view = View()
        rows = view.rows(1.0, manager.stats())
        assert [row.cells[:4] for row in rows] == [("a", "0", "connecting", "○"), ("b", "0", "connecting", "○")]
        assert {len(row.cells) for row in rows} == {len(HEADER)}
        manager.remove_source("a")
        assert [row.cells[0] for row in view.rows(2.0, manager.stats())] == ["b"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0004, "0.4 ms"), (-0.002, "-2.0 ms"), (1.26, "1.3 s"), (119, "119.0 s"), (600, "10 min")]
)
def test_durations_are_in_the_unit_that_people_would_choose(seconds, text):
    """Clocks that differ make negative ones."""
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (2048, "2 KiB"), (3 * 2**20, "3 MiB"), (5 * 2**30, "5.0 GiB")])
def test_sizes_are_too(count, text):
    """In powers of 1024."""
    assert size(count) == text
