"""Own keys: a 64-bit hash for each block of tokens, chained, so that a key stands for the whole prefix up to its block.

A key is made of the key before it, the block's tokens, and what else tells its content apart. Two engines that cached
the same prefix have the same keys for it, whatever their own hashes are; and a gateway, which knows tokens only, makes
them of a request.

Engines that draft ahead let a block's content depend on tokens after it: by a field of their events (vLLM), or by hashing
positions as bigrams (SGLang), which is the same as one token ahead. A block's key is then made of those, too.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from msgspec import msgpack
from xxhash import xxh3_64_intdigest

from kato_transport.events import ExtraKey

KEY_BYTES: Final = 8
TOKEN_BYTES: Final = array("I").itemsize
AT_ONCE: Final = 32
"""Blocks that are cut off together."""
Extras = Sequence[tuple[ExtraKey, ...] | None]
"""What else than tokens tells blocks apart, for each block."""


class Shape(NamedTuple):
    """How tokens are cut into blocks."""

    block_size: int
    lookahead: int = 0
    """Tokens after a block that its key is made of, too."""

    def blocks_in(self, tokens: int) -> int:
        return max(0, (tokens - self.lookahead) // self.block_size)


@lru_cache(maxsize=4096)
def root_key(model: str, lora: str | int | None, shape: Shape) -> int:
    """What the first block of a prefix is chained to; keeps models, adapters and shapes apart."""
    return xxh3_64_intdigest(msgpack.encode((model, lora, shape.block_size, shape.lookahead)))


def pack(keys: Sequence[int]) -> bytes:
    """Keys as they are kept and compared: eight bytes each, little-endian."""
    return _packer(len(keys))(*keys)


def key_at(packed: bytes, position: int) -> int:
    start = position * KEY_BYTES
    return int.from_bytes(packed[start : start + KEY_BYTES], "little")


def next_key(packed: bytes, ids: array[int]) -> tuple[int, bytes]:
    """The key of one block more, of just these tokens, in both forms."""
    key = xxh3_64_intdigest(ids, int.from_bytes(packed[-KEY_BYTES:], "little"))
    return key, key.to_bytes(KEY_BYTES, "little")


def chain(ids: array[int], blocks: int, shape: Shape, parent: int, extras: Extras | None = None) -> list[int]:
    """The keys of so many blocks of tokens, chained to `parent`; tokens beyond them are looked ahead at, or passed over."""
    if shape.lookahead or extras is not None:
        return _chain_with(ids, blocks, shape, parent, extras)
    return chain_plain(ids, blocks, shape.block_size, parent)


def chain_plain(ids: array[int], blocks: int, block_size: int, parent: int) -> list[int]:
    """As `chain`, where keys are made of their own blocks' tokens alone."""
    keys: list[int] = []
    key, digest, stride = parent, xxh3_64_intdigest, block_size * TOKEN_BYTES
    for start in range(0, blocks, AT_ONCE):
        for block in _cutter(stride, min(AT_ONCE, blocks - start))(ids, start * stride):
            key = digest(block, key)
            keys.append(key)
    return keys


def _chain_with(ids: array[int], blocks: int, shape: Shape, parent: int, extras: Extras | None) -> list[int]:
    data, key, numbers = ids.tobytes(), parent, []
    stride = shape.block_size * TOKEN_BYTES
    width = stride + shape.lookahead * TOKEN_BYTES
    for number in range(blocks):
        block = data[number * stride : number * stride + width]
        if extras is not None and number < len(extras) and extras[number]:
            block += msgpack.encode(extras[number])  # longer than any block without, so never taken for one
        key = xxh3_64_intdigest(block, key)
        numbers.append(key)
    return numbers


@lru_cache(maxsize=1024)
def _packer(count: int) -> Callable[..., bytes]:
    return Struct(f"<{count}Q").pack


@lru_cache(maxsize=1024)
def _cutter(stride: int, blocks: int) -> Callable[[array[int], int], tuple[bytes, ...]]:
    """Gives so many blocks from a byte on."""
    return Struct(f"{stride}s" * blocks).unpack_from


def agreeing(one: bytes, other: bytes) -> int:
    """How many keys two rows of them have in common before they differ."""
    shorter = min(len(one), len(other))
    one, other = one[:shorter], other[:shorter]
    if one == other:
        return shorter // KEY_BYTES
    different = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return (different & -different).bit_length() - 1 >> 6


def unpaired(pairs: array[int]) -> array[int] | None:
    """The tokens that bigrams, one after another, were made of; None where they do not overlap."""
    if pairs[1:-1:2] != pairs[2::2]:
        return None
    return pairs[::2] + pairs[-1:]
