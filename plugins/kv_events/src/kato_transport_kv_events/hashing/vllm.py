"""vLLM's block hashes, as it has computed them since 0.10.2: each block's digest is made of the digest before it.

Before 0.10.2 the default was Python's own `hash`, and the others were chained as integers: not computed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, overload

from kato_transport.errors import InvalidSetting
from kato_transport.events import ExtraKey
from kato_transport_kv_events.hashing.algorithms import digest_named
from kato_transport_kv_events.hashing.arguments import at_least, packed
from kato_transport_kv_events.hashing.extra_keys import Owner, keys_of_blocks

DEFAULT_SEED: Final = "vllm-none-hash"
DIGEST_BYTES: Final = 32
FORMS: Final = ("int", "bytes")


def vllm_root(seed: str | None = None, algorithm: str = "sha256") -> bytes:
    """What stands before a first block: the digest of the engine's PYTHONHASHSEED, or from 0.29 on of a fixed text.

    Up to 0.28 an engine without PYTHONHASHSEED has a random root, and its hashes cannot be computed by others.
    Raises `InvalidSetting` for a seed that is no text, as an environment variable is, and for an unknown algorithm.
    """
    if seed is not None and not isinstance(seed, str):
        raise InvalidSetting(f"seed must be the text of PYTHONHASHSEED, such as '0', or None, not {seed!r}")
    return digest_named(algorithm)(DEFAULT_SEED if seed is None else seed)


@overload
def vllm_block_hashes(
    token_ids: Sequence[int],
    block_size: int,
    *,
    algorithm: str = ...,
    root: bytes | None = ...,
    lora_name: str | int | None = ...,
    lora_path: str | None = ...,
    cache_salt: str | None = ...,
    extra_keys: Sequence[Sequence[ExtraKey] | None] | None = ...,
    tagged_keys: bool = ...,
    lookahead: int = ...,
    form: Literal["int"] = ...,
) -> list[int]: ...


@overload
def vllm_block_hashes(
    token_ids: Sequence[int],
    block_size: int,
    *,
    algorithm: str = ...,
    root: bytes | None = ...,
    lora_name: str | int | None = ...,
    lora_path: str | None = ...,
    cache_salt: str | None = ...,
    extra_keys: Sequence[Sequence[ExtraKey] | None] | None = ...,
    tagged_keys: bool = ...,
    lookahead: int = ...,
    form: Literal["bytes"],
) -> list[bytes]: ...


def vllm_block_hashes(
    token_ids: Sequence[int],
    block_size: int,
    *,
    algorithm: str = "sha256",
    root: bytes | None = None,
    lora_name: str | int | None = None,
    lora_path: str | None = None,
    cache_salt: str | None = None,
    extra_keys: Sequence[Sequence[ExtraKey] | None] | None = None,
    tagged_keys: bool = True,
    lookahead: int = 0,
    form: Literal["int", "bytes"] = "int",
) -> list[int] | list[bytes]:
    """The hashes of all whole blocks of a request, first to last.

    `algorithm` is the engine's `--prefix-caching-hash-algo`; `root` is `vllm_root(…)`, by default that of 0.29 and
    later without a seed. To go on from a block, give its digest as root, the tokens behind it and no salt.

    `extra_keys` has an entry for each whole block: what else vLLM hashes with it, between LoRA and cache salt.
    `tagged_keys` says in which shape LoRA and salt are hashed: with tags from 0.31 on, and then the LoRA's path, too;
    False for older releases (up to 0.11.0 a LoRA's number stands for its name). `extra_keys` are hashed as given.

    `lookahead` is for 0.33 and later with a draft model of the EAGLE kind: how many tokens behind a block go into its
    hash, so that a block counts as whole only when they are there. 0 without, and with a KV connector.

    `form` is how events carry them: "int" is the last 8 bytes, unsigned, the default of vLLM; "bytes" the whole
    digest, with VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES=0. Where a group's blocks are larger than the blocks that are
    hashed, its integers are every n-th of these.

    Raises `InvalidSetting` for what cannot be, and where a package is missing.
    """
    if form not in FORMS:
        raise InvalidSetting(f"no form named {form!r}; there are: {', '.join(FORMS)}")
    digest = digest_named(algorithm)
    parent = vllm_root(algorithm=algorithm) if root is None else _digest(root)
    size, ahead = at_least(1, "block_size", block_size), at_least(0, "lookahead", lookahead)
    tokens = packed(token_ids, "q").tolist()
    owner = Owner(lora_name=lora_name, lora_path=lora_path, cache_salt=cache_salt, tagged=tagged_keys)
    digests = []
    for index, keys in enumerate(keys_of_blocks(owner, extra_keys, len(tokens) // size)):
        end = (index + 1) * size
        if end + ahead > len(tokens):
            break
        parent = digest((parent, tuple(tokens[end - size : end]), (keys, *tokens[end : end + ahead]) if ahead else keys))
        digests.append(parent)
    return digests if form == "bytes" else [int.from_bytes(each[-8:], "big") for each in digests]


def _digest(root: bytes) -> bytes:
    if not isinstance(root, bytes) or len(root) != DIGEST_BYTES:
        raise InvalidSetting(f"root must be 32 bytes: what vllm_root(…) gives, or the digest of the block before, not {root!r}")
    return root
