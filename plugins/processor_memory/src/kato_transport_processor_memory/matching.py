"""Matching by Ratcliff/Obershelp: what of a model the state shows, and what lies before, around and after it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from difflib import SequenceMatcher
from itertools import accumulate

from attrs import frozen

from kato_transport_processor_memory.models import Events, LearnedModel, Symbols, flatten


@frozen
class Match:
    """One model compared with the state."""

    similarity: float
    blocks: int
    matches: Symbols
    past: Events
    present: Events
    future: Events
    present_symbols: Symbols
    missing: Symbols
    extras: Symbols


class Matcher:
    """Compares models with one state; difflib indexes that side once."""

    def __init__(self, state: Symbols) -> None:
        self._state = state
        self._matcher: SequenceMatcher[str] = SequenceMatcher(None, (), state, autojunk=False)

    def match(self, model: LearnedModel, threshold: float) -> Match | None:
        """The match; None where the similarity is under the threshold, or nothing matches at all."""
        self._matcher.set_seq1(model.symbols)
        similarity = self._matcher.ratio()
        blocks = self._matcher.get_matching_blocks()[:-1]  # the last one is difflib's sentinel
        if similarity < threshold or not blocks:
            return None
        first, last = blocks[0].a, blocks[-1].a + blocks[-1].size - 1
        past, present, future = split(model, first, last)
        matches = flatten(tuple(self._state[block.b : block.b + block.size] for block in blocks))
        shown, matched = flatten(present), set(matches)
        missing = tuple(symbol for symbol in shown if symbol not in matched)
        return Match(similarity, len(blocks), matches, past, present, future, shown, missing, self._extras())

    def _extras(self) -> Symbols:
        """What changing the present into the state inserts or puts in another's place.

        The opcodes are the whole model's: past and future hold no match, so the present alone has the same blocks.
        """
        inserted = (code for code in self._matcher.get_opcodes() if code[0] in ("insert", "replace"))
        return flatten(tuple(self._state[begin:end] for _, _, _, begin, end in inserted))


def split(model: LearnedModel, first: int, last: int) -> tuple[Events, Events, Events]:
    """Past, present and future of a model whose first and last matched symbols stand at these places.

    Events that begin before the first matched symbol are past; yet the last of them is present if it holds a symbol equal
    to that one, as it does wherever the match begins inside an event.
    """
    starts = list(accumulate(map(len, model.sequence), initial=0))[:-1]
    begin, end = bisect_left(starts, first), bisect_right(starts, last)
    if begin and model.symbols[first] in model.sequence[begin - 1]:
        begin -= 1
    return model.sequence[:begin], model.sequence[begin:end], model.sequence[end:]
