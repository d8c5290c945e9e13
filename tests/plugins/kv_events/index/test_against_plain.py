"""The index says what a plain model says, whatever engines do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kato_transport.events import BlockRemoved
from kato_transport_kv_events.index import BlockIndex, PodMatch

from .engines import GROUPS, MEDIA, SOURCES, Engines, Step, steps
from .plain import Leading, PlainIndex, Source
from .world import FORKS, LENGTH, NAMES, PLACES, origin, prefix

EVERY = 5
"""Steps after which both are compared."""


def assert_between(pod: PodMatch | None, least: Leading, most: Leading) -> None:
    """At least what is known, at most what is true."""
    assert least[0] <= (pod.blocks if pod else 0) <= most[0]
    for medium in MEDIA:
        blocks = pod.by_medium.get(medium, 0) if pod else 0
        assert blocks <= most[1].get(medium, 0)
        assert not least[0] or least[1].get(medium, 0) <= blocks


def check(engines: Engines) -> None:
    index, plain = engines.index, engines.plain
    for source in SOURCES:
        assert index.resident(*source) == plain.source(*source).resident()
    assert index.stats().resident == sum(len(source.resident()) for source in plain.sources.values())
    for chain in range(len(FORKS)):
        check_matches(engines, chain)


def check_matches(engines: Engines, chain: int) -> None:
    """By tokens; and by each family's hashes, where who goes by them is known by whatever was stored."""
    answers = [(engines.index.match(prefix(chain)), engines.plain.known)]
    answers += [(engines.index.match_hashes(names[chain]), names[chain]) for names in NAMES]
    everything = [engines.plain.source(*source) for source in SOURCES]
    placed, most = [has.placed() for has in everything], [has.leading(chain, PLACES[chain]) for has in everything]
    for match, understood in answers:
        found = {(pod.pod, pod.rank): pod for pod in match.pods}
        assert len(found) == len(match.pods)
        for source, least, highest in zip(SOURCES, placed, most, strict=True):
            assert_between(found.get(source), least.leading(chain, understood), highest)


def check_counts(engines: Engines) -> None:
    stats, plain = engines.index.stats(), engines.plain
    assert (stats.stored, stats.removed, stats.unknown_removals) == (plain.stored, plain.removed, plain.unknown)
    assert stats.remote == plain.remote


@settings(max_examples=70)
@given(st.lists(steps, min_size=30, max_size=60))
def test_it_knows_what_everybody_has_and_where_prefixes_begin(taken: list[Step]) -> None:
    engines = Engines(BlockIndex(), PlainIndex())
    for number, step in enumerate(taken, 1):
        engines.take(step)
        if number % EVERY == 0:
            check(engines)
    check(engines)
    check_counts(engines)
    engines.finish()
    assert_nothing_is_left(engines.index)


@settings(max_examples=40)
@given(st.lists(steps, min_size=30, max_size=60))
def test_told_of_a_block_again_it_may_count_it_once(taken: list[Step]) -> None:
    engines = Engines(BlockIndex(counting="set"), PlainIndex(counted=False))
    for step in taken:
        engines.take(step)
    check(engines)
    check_counts(engines)


@settings(max_examples=40)
@given(st.integers(1, 150), st.lists(steps, min_size=30, max_size=60))
def test_with_too_little_room_something_is_missing_and_nothing_is_there_that_is_gone(room: int, taken: list[Step]) -> None:
    """And whoever misses anything is told of."""
    engines = Engines(BlockIndex(max_blocks=room), PlainIndex())
    told: set[Source] = set()
    engines.index.report_flaws_to(lambda pod, rank, flaw: told.add((pod, rank)))
    for step in taken:
        engines.take(step)
        assert engines.index.stats().names <= room
    check_nothing_is_there_that_is_gone(engines)
    assert {source for source in SOURCES if engines.index.resident(*source) != engines.plain.source(*source).resident()} <= told


@settings(max_examples=40)
@given(st.integers(1, 100), st.lists(steps, min_size=30, max_size=60))
def test_a_source_with_too_many_blocks_begins_anew(room: int, taken: list[Step]) -> None:
    engines = Engines(BlockIndex(max_source_blocks=room), PlainIndex())
    told: set[Source] = set()
    engines.index.report_flaws_to(lambda pod, rank, flaw: told.add((pod, rank)))
    for step in taken:
        if SOURCES[step.source][0] in GROUPS:  # it would have to forget, too, which groups there are
            continue
        engines.take(step)
        sizes = [len(engines.index.resident(*source)) for source in SOURCES]
        assert max(sizes) <= max(room, 2 * LENGTH)
    check_nothing_is_there_that_is_gone(engines)
    assert {source for source in SOURCES if engines.index.resident(*source) != engines.plain.source(*source).resident()} <= told


def check_nothing_is_there_that_is_gone(engines: Engines) -> None:
    for source in SOURCES:
        true = engines.plain.source(*source).resident()
        for place, count in engines.index.resident(*source).items():
            assert count <= true.get(place, 0)
    for chain in range(len(FORKS)):
        for match in (engines.index.match(prefix(chain)), *(engines.index.match_hashes(names[chain]) for names in NAMES)):
            for pod in match.pods:
                most = engines.plain.source(pod.pod, pod.rank).leading(chain, PLACES[chain])
                assert_between(pod, (0, {}), most)


def assert_nothing_is_left(index: BlockIndex) -> None:
    """Of blocks that nobody has any more, nor of holders that were forgotten."""
    for _ in range(1000):
        if not (index.stats().segments or index._holders.dead):
            break
        index.handle_event(BlockRemoved(origin=origin("idle"), block_hashes=(0,)))
    stats, contents = index.stats(), index._contents
    assert (stats.blocks, stats.names, stats.resident, stats.segments, stats.orphans) == (0, 0, 0, 0, 0)
    assert not contents.first
    assert not any(space.by_hash or space.waiting for space in contents.spaces.values())
