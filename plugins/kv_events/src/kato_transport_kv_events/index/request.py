"""A request as an index is asked about it: tokens, and what else keeps prefixes apart."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from types import NoneType
from typing import Final

from msgspec import msgpack

from kato_transport import InvalidSetting
from kato_transport.events import ExtraKey, TokenId, TokenIds
from kato_transport_kv_events.index.keys import Extras, Shape, chain, pack, root_key

FIRST_CHAINED: Final = 64
"""Blocks whose keys are made at first; each time that more are needed, as many as there are. A prefix that nobody has ends
before."""


class Request:
    """The keys of a request's blocks, made as far as they are needed, once for each way to cut tokens into blocks.

    For asking more than once. Belongs to one thread at a time.
    """

    def __init__(
        self,
        token_ids: Iterable[TokenId],
        *,
        model: str | None = None,
        lora_name: str | int | None = None,
        cache_salt: str | None = None,
        extra_keys: Extras | None = None,
    ) -> None:
        self.model = model or ""
        self.lora = lora_name or None
        self._ids = _array(token_ids)
        self._salt = cache_salt or None
        self._extra_keys = extra_keys
        _check(self.lora, self._salt, extra_keys)
        self._wanted: dict[Shape, Wanted] = {}

    def cut(self, shape: Shape) -> Wanted:
        """The request in blocks of a shape."""
        wanted = self._wanted.get(shape)
        if wanted is None:
            root = root_key(self.model, self.lora, shape)
            wanted = self._wanted[shape] = Wanted(self._ids, shape, root, self._extras())
        return wanted

    def _extras(self) -> Extras | None:
        if self._salt is None:
            return self._extra_keys
        first, *others = self._extra_keys or [None]
        salted: tuple[ExtraKey, ...] = (*(first or ()), self._salt)
        return [salted, *others]


class Wanted:
    """A request's blocks in one shape."""

    __slots__ = ("_extras", "_ids", "_root", "blocks", "numbers", "packed", "shape")

    def __init__(self, ids: array[int], shape: Shape, root: int, extras: Extras | None) -> None:
        self.shape = shape
        self.blocks = shape.blocks_in(len(ids))
        """Whole ones in the request."""
        self.numbers: list[int] = []
        self.packed = b""
        self._ids = ids
        self._root = root
        self._extras = extras

    def chain_to(self, end: int) -> None:
        """Make the keys of the blocks before `end`, and more."""
        start = len(self.numbers)
        if start >= min(end, self.blocks):
            return
        end = min(self.blocks, max(end, FIRST_CHAINED, 2 * start))
        size = self.shape.block_size
        ids = self._ids[start * size : end * size + self.shape.lookahead]
        parent = self.numbers[-1] if start else self._root
        keys = chain(ids, end - start, self.shape, parent, self._extras and self._extras[start:end])
        self.numbers += keys
        self.packed += pack(keys)


def _array(token_ids: Iterable[TokenId]) -> array[int]:
    if isinstance(token_ids, TokenIds) and not token_ids.bigrams:
        return token_ids.as_array()
    if isinstance(token_ids, (bytes, bytearray)):  # `array` would take them for integers already packed
        raise InvalidSetting(f"token_ids are {type(token_ids).__name__}; expected integers from 0 to 4294967295")
    try:
        return array("I", token_ids)  # type: ignore[arg-type]  # what is no number is refused
    except (TypeError, OverflowError) as exc:
        raise InvalidSetting(f"token_ids are no token ids: {exc}; expected integers from 0 to 4294967295") from exc


def _check(lora: str | int | None, salt: str | None, extra_keys: Extras | None) -> None:
    """`InvalidSetting` where no engine could have told prefixes apart by these."""
    if not isinstance(lora, (str, int, NoneType)):
        raise InvalidSetting(f"lora_name is a {type(lora).__name__}; expected the adapter's name, or its number")
    if not isinstance(extra_keys, (list, tuple, NoneType)):
        raise InvalidSetting(f"extra_keys are {type(extra_keys).__name__}; expected a list with an entry for each block")
    try:
        msgpack.encode((salt, extra_keys))
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise InvalidSetting(f"cache_salt or extra_keys are nothing that engines hash: {exc}") from exc
