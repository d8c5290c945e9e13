"""What releases of vLLM make of the same requests: `vectors.json` was made by their own `kv_cache_utils`, unmodified.

Blocks of 16 tokens, PYTHONHASHSEED=42 unless it says otherwise. 0.10.2 hashes as 0.11.0 does, 0.18.0 as 0.11.2, 0.30.0 as
0.19.0, 0.28.0 and 0.29.0, 0.33.0 as 0.31.0.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kato_transport_kv_events import vllm_block_hashes, vllm_root

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
SEEDED = [release for release in VECTORS if "seed" not in release]
TOKENS = [i * 37 + 14 for i in range(40)]
LORAS = {"0.10.2": {"lora_name": 1}, "0.33.0": {"lora_name": "adapter-one", "lora_path": "/adapters/one"}}
SALT = {"cache_salt": "tenant-1"}


def options(release):
    return {"tagged_keys": release == "0.33.0"}


def lora(release):
    return LORAS.get(release, {"lora_name": "adapter-one"})


def media(release, *inputs):
    """Each block's keys for multimodal inputs, of which each is in one block, at an offset."""
    shapes = {"0.10.2": "plain", "0.18.0": "plain", "0.30.0": "placed", "0.33.0": "tagged"}
    keys = {
        "plain": lambda name, at: name,
        "placed": lambda name, at: (name, at),
        "tagged": lambda name, at: ("mm", name, at),
    }[shapes[release]]
    blocks = [[keys(name, at - block * 16) for name, at in inputs if at // 16 == block] for block in range(2)]
    return {"extra_keys": [block or None for block in blocks]}


def hashed(release, algorithm, tokens=TOKENS, **more):
    root = None if "seed" in release else vllm_root("42", algorithm)
    found = vllm_block_hashes(tokens, 16, algorithm=algorithm, root=root, form="bytes", **more)
    return [digest.hex() for digest in found]


@pytest.mark.parametrize("algorithm", ["sha256", "sha256_cbor"])
@pytest.mark.parametrize("release", SEEDED)
class TestARequest:
    """Of each kind, in each release, by each algorithm."""

    def test_of_tokens_alone(self, release, algorithm):
        assert hashed(release, algorithm) == VECTORS[release][f"{algorithm}/plain"]

    def test_with_a_cache_salt(self, release, algorithm):
        """In the first block alone: the others have it from their parent."""
        assert hashed(release, algorithm, **options(release), **SALT) == VECTORS[release][f"{algorithm}/salted"]

    def test_with_a_lora(self, release, algorithm):
        """In every block; by number, by name, and by name and path."""
        assert hashed(release, algorithm, **options(release), **lora(release)) == VECTORS[release][f"{algorithm}/lora"]

    def test_with_images(self, release, algorithm):
        """In the blocks that they lie in."""
        keys = media(release, ("image-a", 3), ("image-b", 20))
        assert hashed(release, algorithm, **options(release), **keys) == VECTORS[release][f"{algorithm}/media"]

    def test_with_everything(self, release, algorithm):
        """LoRA, then images, then salt."""
        keys = media(release, ("image-a", 3), ("image-b", 20))
        found = hashed(release, algorithm, **options(release), **lora(release), **keys, **SALT)
        assert found == VECTORS[release][f"{algorithm}/everything"]

    def test_with_the_same_image_twice_in_a_block(self, release, algorithm):
        """Equal text is written twice, and not as a reference to the first, though both are one object here."""
        keys = media(release, ("image-a", 1), ("image-a", 8))
        assert hashed(release, algorithm, **options(release), **keys) == VECTORS[release][f"{algorithm}/twice"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha256_cbor"])
@pytest.mark.parametrize("release", VECTORS)
def test_the_root_is_the_seeds(release, algorithm):
    """PYTHONHASHSEED, or a fixed text where the engine has none."""
    seed = None if "seed" in release else "42"
    assert vllm_root(seed, algorithm).hex() == VECTORS[release][f"{algorithm}/root"]
    assert hashed(release, algorithm) == VECTORS[release][f"{algorithm}/plain"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha256_cbor"])
@pytest.mark.parametrize("ahead", [1, 3])
def test_tokens_ahead_are_hashed_with_a_block(ahead, algorithm):
    """As 0.33.0 does with a draft model; the last whole block has none behind it, and no hash yet."""
    tokens = [i * 37 + 14 for i in range(48)]
    found = hashed("0.33.0", algorithm, tokens, lookahead=ahead, **SALT)
    assert found == VECTORS["0.33.0"][f"{algorithm}/ahead-{ahead}"]
    assert len(found) == 2
