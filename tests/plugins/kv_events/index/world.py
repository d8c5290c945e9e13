"""What engines have cached, in the tests of the index: a few chains of blocks, which part here and there."""

from __future__ import annotations

from kato_transport.events import Origin

SIZE = 2
"""Tokens in a block."""
LENGTH = 70
"""Blocks of a chain: three segments."""
FORKS = (0, 3, 32, 40)
"""Where chains part from the first one."""
FAMILIES = 3
"""Engines of one family hash with the same seed."""

Prefix = tuple[int, ...]
"""Tokens up to the end of a block: its content."""


def tokens(chain: int, block: int) -> Prefix:
    own = chain + 1 if block >= FORKS[chain] else 1
    return (1000 * own + block, 7)


def prefix(chain: int, blocks: int = LENGTH) -> Prefix:
    return tuple(token for block in range(blocks) for token in tokens(chain, block))


def _name(chain: int, block: int, family: int) -> int:
    return hash((prefix(chain, block + 1), family)) & (2**64 - 1)


NAMES = [
    [[_name(chain, block, family) for block in range(LENGTH)] for chain in range(len(FORKS))] for family in range(FAMILIES)
]
"""By family and chain, an engine's hash of each block: the same for chains that have not parted yet."""
PARENTS = {each: names[at - 1] if at else None for family in NAMES for names in family for at, each in enumerate(names)}
"""By hash, the hash of the block before."""
PLACES = [{each: at for family in NAMES for at, each in enumerate(family[chain])} for chain in range(len(FORKS))]
"""By chain, which of its blocks hashes stand for."""


def origin(pod: str, rank: int = 0, model: str = "") -> Origin:
    return Origin(pod=pod, rank=rank, sequence=0, timestamp_s=0.0, model=model)
