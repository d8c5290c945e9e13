"""Token ids as events carry them: read from the wire only where somebody asks for them.

Most consumers of most events never look at the tokens, and reading them is the larger half of reading an event.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, overload

from kato_transport.errors import DecodeError

TokenId = int | tuple[int, int]
"""A token's id; or, where an engine drafts with bigrams (SGLang with EAGLE), a position's id and the one after it."""


class TokenIds(Sequence[TokenId]):
    """An immutable sequence that may still be packed: the first use unpacks it, in whichever thread that is.

    Equal to any tuple, list or `TokenIds` of the same ids. Bigrams appear as pairs, one for each position, so that lengths
    and slices count positions either way. Packed ids hold on to the memory that they came in until they are unpacked; if
    they turn out to be none, every use raises a `DecodeError`, as `unpack` does.
    """

    __slots__ = ("_ids", "_unpack")

    def __init__(self, ids: Any = (), unpack: Callable[[Any], list[TokenId]] | None = None) -> None:
        """Of ids; or, with `unpack`, of something that it makes a list of ids from."""
        self._unpack = unpack
        self._ids = ids if unpack is not None else list(ids)

    @property
    def bigrams(self) -> bool:
        """Whether the items are pairs."""
        ids = self._unpacked()
        return bool(ids) and isinstance(ids[0], tuple)

    def as_array(self) -> array[int]:
        """The ids as unsigned 32-bit integers, in the machine's byte order; bigrams as two after each other.

        Raises `DecodeError` where one is none.
        """
        ids: list[Any] = self._unpacked()
        made = array("I")
        try:
            made.fromlist([*chain.from_iterable(ids)] if ids and type(ids[0]) is tuple else ids)
        except (OverflowError, TypeError) as exc:
            raise DecodeError("token_ids", b"", str(exc), len(ids)) from exc
        return made

    def _unpacked(self) -> list[TokenId]:
        ids: Any = self._ids
        if type(ids) is not list:  # two threads may both come here, and both leave the same
            assert self._unpack is not None
            ids = self._ids = self._unpack(ids)
        return ids  # type: ignore[no-any-return]

    @overload
    def __getitem__(self, index: int) -> TokenId: ...
    @overload
    def __getitem__(self, index: slice) -> TokenIds: ...
    def __getitem__(self, index: int | slice) -> TokenId | TokenIds:
        return TokenIds(self._unpacked()[index]) if isinstance(index, slice) else self._unpacked()[index]

    def __len__(self) -> int:
        return len(self._unpacked())

    def __iter__(self) -> Iterator[TokenId]:
        return iter(self._unpacked())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TokenIds):
            return self._unpacked() == other._unpacked()
        return self._unpacked() == list(other) if isinstance(other, (tuple, list)) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._unpacked()))

    def __repr__(self) -> str:
        """Without the ids: they give the prompt away."""
        return f"<{len(self)} token ids>"

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenIds, (tuple(self._unpacked()),)
