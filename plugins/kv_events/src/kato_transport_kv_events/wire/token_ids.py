"""Token ids as they lie on the wire: an array of integers, of pairs of integers (bigrams), or nothing."""

from __future__ import annotations

from typing import Any, Final

from msgspec import MsgspecError
from msgspec.msgpack import Decoder

from kato_transport.errors import DecodeError
from kato_transport.events import TokenId

_ids: Final = Decoder(list[int]).decode
_pairs_or_none: Final = Decoder(list[tuple[int, int]] | None).decode


def unpack_token_ids(packed: Any) -> list[TokenId]:
    """The ids in a slice of MessagePack; `DecodeError` where it holds anything else."""
    try:
        return _ids(packed)  # type: ignore[return-value]  # a list that nobody appends to
    except MsgspecError:
        pass
    try:
        return _pairs_or_none(packed) or []
    except MsgspecError as exc:
        raise DecodeError("token_ids", b"", str(exc), memoryview(packed).nbytes) from exc  # no head: ids give prompts away
