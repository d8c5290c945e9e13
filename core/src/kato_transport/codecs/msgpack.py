"""MessagePack, the codec of KATO's wire: strings as str, bytes as bytes, arrays as lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgpack

from kato_transport.contracts import Codec
from kato_transport.errors import DecodeError, LocalProtocolError
from kato_transport.hookspecs import hookimpl


class MsgpackCodec:
    """Packs with `msgpack`; map keys may be of any type, and nothing beyond the bytes given is ever allocated for."""

    name: ClassVar[str] = "msgpack"
    content_type: ClassVar[str] = "application/msgpack"

    def encode(self, obj: Any) -> bytes:
        try:
            packed: bytes = msgpack.packb(obj)
        except (TypeError, ValueError, OverflowError, RecursionError) as exc:
            raise LocalProtocolError(f"cannot be sent as msgpack: {exc}") from exc
        return packed

    def decode(self, data: bytes) -> Any:
        try:
            return msgpack.unpackb(data, strict_map_key=False)
        except Exception as exc:  # unpackb documents ValueError and friends, but not what a hook-less ext or a key may raise
            raise DecodeError(self.name, bytes(data[:16]), _reason(exc), size=len(data)) from exc


def _reason(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


@hookimpl
def kato_register_codecs() -> Iterable[Codec]:
    return [MsgpackCodec()]
