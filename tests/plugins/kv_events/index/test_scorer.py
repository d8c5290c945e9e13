"""From a match to a ranking."""

from __future__ import annotations

import math

import pytest

from kato_transport import InvalidSetting
from kato_transport.events import BlockStored
from kato_transport_kv_events import BlockIndex, Match, PodMatch, Scorer, State

from .world import origin

IDS = list(range(160))


def holding(**pods: dict[str, tuple[int, int]]) -> BlockIndex:
    """An index where each pod has, in each medium, the blocks from one on up to another."""
    index = BlockIndex()
    for pod, media in pods.items():
        for medium, (start, end) in media.items():
            event = BlockStored(
                origin=origin(pod),
                block_hashes=tuple(range(start, end)),
                parent_block_hash=start - 1 if start else None,
                token_ids=IDS[16 * start : 16 * end],
                block_size=16,
                medium=medium,
            )
            index.handle_event(event)
    return index


def names(index: BlockIndex, scorer: Scorer, **options) -> list[str]:
    return [scored.pod.pod for scored in scorer.rank(index.match(IDS), **options)]


def test_more_blocks_are_worth_more() -> None:
    assert names(holding(a={"GPU": (0, 2)}, b={"GPU": (0, 5)}, c={"GPU": (0, 3)}), Scorer()) == ["b", "c", "a"]


def test_a_block_is_worth_what_its_best_medium_is() -> None:
    index = holding(a={"GPU": (0, 4), "DISK": (0, 6)}, b={"CPU": (0, 6)})
    ranked = Scorer(tiers={"GPU": 1.0, "CPU": 0.5, "DISK": 0.25}).rank(index.match(IDS))
    assert [(scored.pod.pod, scored.score) for scored in ranked] == [("a", 16 * (4 + 2 * 0.25)), ("b", 16 * 6 * 0.5)]


def test_what_only_media_together_reach_is_worth_as_much_as_any_other_medium() -> None:
    (scored,) = Scorer(tiers={"GPU": 1.0, "CPU": 0.5}, other_tier=0.25).rank(
        holding(a={"GPU": (0, 4), "CPU": (3, 6)}).match(IDS)
    )
    assert scored.pod.blocks == 6
    assert scored.score == 16 * (4 + 2 * 0.25)  # the CPU has no leading block by itself


def test_of_equals_the_one_that_can_be_trusted_more_is_first() -> None:
    index = holding(a={"GPU": (0, 4)}, b={"GPU": (0, 4)}, c={"GPU": (0, 4)})
    for pod, state in (("a", State.STALE), ("b", State.EXACT), ("c", State.PARTIAL)):
        index.source_changed(pod, 0, "", state)
    assert names(index, Scorer()) == ["b", "c", "a"]


def test_of_equals_that_are_trusted_alike_the_one_with_less_load_is_first() -> None:
    index = holding(a={"GPU": (0, 4)}, b={"GPU": (0, 4)}, c={"GPU": (0, 5)})
    assert names(index, Scorer(), load=lambda pod, rank: {"a": 0.9, "b": 0.1, "c": 5.0}[pod]) == ["c", "b", "a"]


def test_a_word_that_cannot_be_relied_upon_is_worth_less() -> None:
    index = holding(a={"GPU": (0, 4)}, b={"GPU": (0, 3)})
    index.source_changed("a", 0, "", State.DEGRADED)
    assert names(index, Scorer()) == ["b", "a"]


def test_nobody_is_worth_anything_to_a_request_that_nobody_has() -> None:
    assert Scorer().rank(BlockIndex().match(IDS)) == []


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan, "much"])
def test_weights_that_are_none_are_refused(weight) -> None:
    with pytest.raises(InvalidSetting, match="expected a number from 0 on"):
        Scorer(tiers={"GPU": weight})
    with pytest.raises(InvalidSetting, match="expected a number from 0 on"):
        Scorer(trusted={State.EXACT: weight})


def test_a_match_and_its_pods_say_what_they_are() -> None:
    match = holding(a={"GPU": (0, 2)}).match(IDS[:40])
    assert isinstance(match, Match)
    assert (match.block_size, match.blocks, match.best) == (16, 2, 2)
    pod = PodMatch(pod="a", rank=0, blocks=2, by_medium={"GPU": 2}, state=State.PARTIAL, generation=0, block_size=16)
    assert match.pods == (pod,)
    assert "blocks=2" in repr(match)
