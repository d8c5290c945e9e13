"""What engines cache and drop: chains of blocks, made from a seed, so that every process of every run has the same.

Only the standard library, as peers' environments have nothing else. Tokens are of a vocabulary of 2**17, evenly spread;
engines' hashes are 64 random bits.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import groupby
from random import Random
from typing import Final, NamedTuple

BLOCK_SIZE: Final = 16
PREFILL: Final = 32
"""Blocks of an event of prefill."""
LENGTHS: Final = tuple(range(PREFILL, 513, PREFILL))
"""Blocks of a chain."""
BATCH: Final = 8
"""Events of prefill in a batch."""
RUNNING: Final = 32
"""Chains of a pod that decode together, each one block in a batch."""
VOCABULARY_BITS: Final = 17


class Chain(NamedTuple):
    """A prompt and its answer, as one pod caches it."""

    number: int
    pod: int
    blocks: int

    def tokens(self, blocks: int | None = None) -> array[int]:
        count = self.blocks * BLOCK_SIZE
        mask = int.from_bytes((2**VOCABULARY_BITS - 1).to_bytes(4, "little") * count, "little")
        bits = Random(self.number).getrandbits(32 * count) & mask
        tokens = array("I", bits.to_bytes(4 * count, "little"))
        return tokens if blocks is None else tokens[: blocks * BLOCK_SIZE]

    def hashes(self, salt: int = 0) -> list[int]:
        """Of engines that hash with the same seed; others have another `salt`."""
        bits = Random((self.number << 32) + salt + 1).randbytes(8 * self.blocks)
        return array("Q", bits).tolist()


class Stored(NamedTuple):
    pod: int
    parent: int | None
    hashes: list[int]
    tokens: array[int]


class Removed(NamedTuple):
    pod: int
    hashes: list[int]


Batch = Sequence[Stored | Removed]
"""All of one pod."""


def chains(blocks: int, pods: int) -> list[Chain]:
    """Chains of so many blocks together, dealt out to pods in turn."""
    dice, made, left = Random(blocks), list[Chain](), blocks
    while left >= PREFILL:
        length = min(dice.choice(LENGTHS), left // PREFILL * PREFILL)
        made.append(Chain(len(made), len(made) % pods, length))
        left -= length
    return made


def held_by(some: Sequence[Chain], pod: int) -> list[Chain]:
    """The same prompts at another pod."""
    return [chain._replace(pod=pod) for chain in some]


def stored_by_32(some: Sequence[Chain]) -> Iterator[Batch]:
    for chain in some:
        hashes, tokens = chain.hashes(), chain.tokens()
        events = [_stored(chain, hashes, tokens, at, at + PREFILL) for at in range(0, chain.blocks, PREFILL)]
        yield from _parts(events)


def stored_whole(some: Sequence[Chain], salt: int) -> Iterator[Batch]:
    """A chain in one event: the only way in which RadixTree takes blocks that another pod has by other hashes."""
    for chain in some:
        yield [_stored(chain, chain.hashes(salt), chain.tokens(), 0, chain.blocks)]


def stored_by_1(some: Sequence[Chain]) -> Iterator[Batch]:
    """Block by block, chains of a pod side by side."""
    for together in _running(some):
        contents = [(chain, chain.hashes(), chain.tokens()) for chain in together]
        for at in range(max(chain.blocks for chain in together)):
            yield [_stored(chain, hashes, tokens, at, at + 1) for chain, hashes, tokens in contents if at < chain.blocks]


def removed_by_32(some: Sequence[Chain]) -> Iterator[Batch]:
    """Leaf first, the chains that were stored first before others."""
    for chain in some:
        hashes = chain.hashes()[::-1]
        yield from _parts([Removed(chain.pod, hashes[at : at + PREFILL]) for at in range(0, chain.blocks, PREFILL)])


def removed_by_1(some: Sequence[Chain]) -> Iterator[Batch]:
    for together in _running(some):
        for chain in together:
            yield [Removed(chain.pod, [name]) for name in reversed(chain.hashes())]


def _stored(chain: Chain, hashes: list[int], tokens: array[int], start: int, end: int) -> Stored:
    parent = hashes[start - 1] if start else None
    return Stored(chain.pod, parent, hashes[start:end], tokens[start * BLOCK_SIZE : end * BLOCK_SIZE])


def _parts(events: Sequence[Stored | Removed]) -> Iterator[Batch]:
    for at in range(0, len(events), BATCH):
        yield events[at : at + BATCH]


def _running(some: Sequence[Chain]) -> Iterator[list[Chain]]:
    by_pod = sorted(some, key=lambda chain: chain.pod)
    for _, of_pod in groupby(by_pod, key=lambda chain: chain.pod):
        mine = list(of_pod)
        for at in range(0, len(mine), RUNNING):
            yield mine[at : at + RUNNING]
