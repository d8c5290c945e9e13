"""What vLLM hashes with a block besides its tokens, in vLLM's order: LoRA, multimodal inputs, cache salt.

| releases | LoRA, every block | multimodal input, the blocks it lies in | cache salt, first block |
| --- | --- | --- | --- |
| 0.10.2-0.11.0 | number | identifier | salt |
| 0.11.1-0.18 | name | identifier | salt |
| 0.19-0.30 | name | (identifier, offset) | salt |
| from 0.31 | ("lora", name, path) | ("mm", identifier, offset) | ("cache_salt", salt) |

The offset is where the input begins, counted from the block's first token. Digests of prompt embeddings come last (from
0.11.1; from 0.31 as ("prompt_embeds", digest)), but then there are no token ids to match by. Events carry the untagged
keys even from 0.31 on, and no path.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from kato_transport.errors import InvalidSetting
from kato_transport.events import ExtraKey
from kato_transport_kv_events.hashing.arguments import text

Keys = tuple[ExtraKey, ...] | None
TAGS: Final = frozenset(("lora", "mm", "cache_salt", "prompt_embeds"))


@frozen(kw_only=True)
class Owner:
    """Whose cache it is: what a request brings with it, whatever its tokens."""

    lora_name: str | int | None
    lora_path: str | None
    cache_salt: str | None
    tagged: bool

    def __attrs_post_init__(self) -> None:
        text("cache_salt", self.cache_salt)
        text("lora_path", self.lora_path)
        if self.lora_path is not None and (self.lora_name is None or not self.tagged):
            raise InvalidSetting("lora_path is hashed with a lora_name and by vLLM from 0.31 on only: leave it out")
        if self.tagged and self.lora_name is not None and self.lora_path is None:
            raise InvalidSetting(
                "vLLM from 0.31 on hashes a LoRA's path with its name: give lora_path, or tagged_keys=False for older releases"
            )

    @property
    def first(self) -> tuple[ExtraKey, ...]:
        """The keys before those of the block."""
        if self.lora_name is None:
            return ()
        return (("lora", self.lora_name, self.lora_path),) if self.tagged else (self.lora_name,)

    @property
    def last(self) -> tuple[ExtraKey, ...]:
        """The keys after those of the first block; vLLM takes an empty salt for none."""
        if not self.cache_salt:
            return ()
        return (("cache_salt", self.cache_salt),) if self.tagged else (self.cache_salt,)


def keys_of_blocks(owner: Owner, extra_keys: Sequence[Sequence[ExtraKey] | None] | None, blocks: int) -> list[Keys]:
    """What goes into each block's hash; None where nothing does, as vLLM has it."""
    own = [None] * blocks if extra_keys is None else extra_keys
    if len(own) != blocks:
        raise InvalidSetting(f"extra_keys must have an entry for each block: {len(own)} of them for {blocks} blocks")
    return [
        tuple(map(_as_in_engine, (*owner.first, *_several(keys), *(owner.last if index == 0 else ())))) or None
        for index, keys in enumerate(own)
    ]


def _several(keys: Sequence[ExtraKey] | None) -> Sequence[ExtraKey]:
    if keys is not None and not isinstance(keys, (tuple, list)):  # text is a sequence, too
        raise InvalidSetting(f"an entry of extra_keys is a list or tuple of keys, or None, not {type(keys).__name__}")
    return keys or ()


def _as_in_engine(key: ExtraKey) -> ExtraKey:
    """The key with each part an object of its own, and each tag one object everywhere.

    Pickle writes an object that it has met before as a reference to it. In an engine the parts of a request were read
    from a message, each by itself, and the tags are constants.
    """
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    if isinstance(key, (tuple, list)):
        tag = (sys.intern(key[0]),) if key and isinstance(key[0], str) and key[0] in TAGS else ()
        return (*tag, *map(_as_in_engine, key[len(tag) :]))
    if key is None or isinstance(key, (bool, int, float, bytes)):
        return key
    raise InvalidSetting(f"an extra key is None, a number, text, bytes or a tuple of these, not {type(key).__name__}")
