"""SGLang's block hashes, as its radix cache has computed them for events since 0.5.6.

Each page's SHA-256 is over the digest before it and the page's tokens as unsigned 32-bit integers, little endian.
Before 0.5.6 a page's hash was Python's own `hash` of its tokens, without a parent: not computed here.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from kato_transport_kv_events.hashing.arguments import at_least, packed, text

SALT_TAG: Final = b"sglang-cache-salt-v1\0"
"""Before the salt in what a salted request's first page is chained to."""


def sglang_block_hashes(
    token_ids: Sequence[int], page_size: int, *, bigrams: bool = False, cache_salt: str | None = None
) -> list[int]:
    """The hashes of all whole pages of a request, first to last: a digest's first 8 bytes, signed, as events carry them.

    `bigrams` is for engines with an EAGLE draft model, which cache pairs of neighbouring tokens: n tokens make n - 1.
    `cache_salt` counts from 0.5.20 on (not in 0.5.17). Not computed: the hashes of LoRA requests from 0.5.23 on, which
    contain an id that only the engine knows, and those of events in the format `dynamo` that have a salt or `extra_key`.

    Raises `InvalidSetting` for what cannot be.
    """
    tokens = packed(token_ids, "I")
    page_bytes = at_least(1, "page_size", page_size) * tokens.itemsize * (2 if bigrams else 1)
    data = _little_endian(_pairs(tokens) if bigrams else tokens)
    salt = text("cache_salt", cache_salt)
    parent = sha256(SALT_TAG + salt.encode()).digest() if salt else b""
    hashes = []
    for end in range(page_bytes, len(data) + 1, page_bytes):
        parent = sha256(parent + data[end - page_bytes : end]).digest()
        hashes.append(int.from_bytes(parent[:8], "big", signed=True))
    return hashes


def _pairs(tokens: array[int]) -> array[int]:
    pairs = array("I", [0]) * (2 * max(len(tokens) - 1, 0))
    pairs[::2], pairs[1::2] = tokens[:-1], tokens[1:]
    return pairs


def _little_endian(words: array[int]) -> bytes:
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()
