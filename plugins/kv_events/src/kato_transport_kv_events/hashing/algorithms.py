"""What vLLM makes digests with: SHA-256 over a tuple, which is first pickled or put into CBOR.

Both are vLLM's since 0.10.2, under these names and over the same tuples; `sha256` is its default. The faster `xxhash`
and `xxhash_cbor` (from 0.17 at the latest) are left out: their root is random unless PYTHONHASHSEED is set.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from kato_transport.errors import InvalidSetting

Digest = Callable[[Any], bytes]
PICKLE_PROTOCOL: Final = 5
"""The highest of every Python that vLLM runs on, and vLLM takes the highest."""


def _of_pickle() -> Digest:
    return lambda value: sha256(pickle.dumps(value, PICKLE_PROTOCOL)).digest()


def _of_cbor() -> Digest:
    try:
        from cbor2 import dumps
    except ImportError as exc:
        why = "algorithm sha256_cbor needs the package cbor2: pip install 'kato-transport-kv-events[cbor]'"
        raise InvalidSetting(why) from exc
    return lambda value: sha256(dumps(value, canonical=True)).digest()


ALGORITHMS: Final[dict[str, Callable[[], Digest]]] = {"sha256": _of_pickle, "sha256_cbor": _of_cbor}


def digest_named(algorithm: str) -> Digest:
    """The digest of a value by an algorithm; `InvalidSetting` where there is none of that name, or a package is missing."""
    if algorithm not in ALGORITHMS:
        raise InvalidSetting(f"no algorithm named {algorithm!r}; there are: {', '.join(ALGORITHMS)}")
    return ALGORITHMS[algorithm]()
