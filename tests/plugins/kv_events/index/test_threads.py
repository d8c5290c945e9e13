"""An index that is asked while it is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from kato_transport_kv_events.index import BlockIndex

from .telling import clear, remove, store

IDS = list(range(140))
"""Seventy blocks."""
PODS = ("a", "b", "c")


def busy(index: BlockIndex, pod: str) -> None:
    """Every event leaves 35 or 70 blocks there, or none; in both media or in one."""
    names = range(70) if pod != "c" else range(1000, 1070)
    for life in range(60):
        store(index, pod, names, IDS)
        remove(index, pod, *names[:34:-1])
        store(index, pod, names, IDS, medium="CPU")
        store(index, pod, names[35:], IDS[70:], parent=names[34])
        remove(index, pod, *names, medium="CPU")
        if life % 3:
            index.forget(pod, 0)
        else:
            clear(index, pod)


def curious(index: BlockIndex, told: Event) -> int:
    asked = 0
    while not told.is_set() or not asked:
        match = index.match(IDS)
        by_hash = index.match_hashes(range(1000, 1070) if asked % 2 else range(70))
        index.stats()
        for pod in match.pods:
            assert pod.blocks in (35, 70)
            assert set(pod.by_medium.values()) <= {35, 70}
            assert pod.blocks == max(pod.by_medium.values())
        for answer in (match, by_hash):
            assert {pod.pod for pod in answer.pods} <= set(PODS)
            assert answer.best == max([pod.blocks for pod in answer.pods], default=0)
        assert len(index.resident("a")) in (0, 35, 70, 105, 140)
        asked += 1
    return asked


def test_answers_are_of_some_moment_whatever_is_told_meanwhile() -> None:
    index, told = BlockIndex(), Event()
    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(curious, index, told) for _ in range(2)]
        telling = [pool.submit(busy, index, pod) for pod in PODS]
        _finish(telling, told.set)
        assert all(each.result() for each in asking)
    assert (index.match(IDS).pods, index.stats().resident) == ((), 0)


def _finish(telling, then: Callable[[], None]) -> None:
    try:
        for each in telling:
            each.result()
    finally:
        then()
